"""The archive worker draining a topic, next to a bare client that writes the same rows."""
