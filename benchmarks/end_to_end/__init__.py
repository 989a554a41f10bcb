"""From the webhook until it is kept: the edge and the archive worker together, next to a bare client for each hop."""
