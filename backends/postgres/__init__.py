"""Records and blobs in Postgres, and Postgres itself for one-machine installations."""
