"""The webhook edge up to the log's acknowledgement, next to a bare handler with the same append."""
