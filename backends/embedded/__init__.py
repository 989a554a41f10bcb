"""What servers that run for the life of one process have in common: their account, folder, ports and processes."""
