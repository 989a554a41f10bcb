"""What traffic takes: processes, partitions, bytes, and where the next limit lies. Pure, but for `costs.json`."""
