"""Where records and blobs rest."""
