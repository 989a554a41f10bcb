"""Memory: of a large document on its way through the blob store, and of the whole demo as it grows."""
