"""Small blobs: how many a second go into each blob store, next to a bare client of its server."""
