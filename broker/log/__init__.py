"""The event log: what is accepted is durable here before anything else happens to it."""
