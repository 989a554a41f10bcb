"""The archive worker draining a topic into MongoDB, next to a bare client that inserts the same documents."""
