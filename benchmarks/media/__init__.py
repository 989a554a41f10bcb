"""The media worker, from messages to blobs, next to a bare client that downloads and puts the same bytes."""
