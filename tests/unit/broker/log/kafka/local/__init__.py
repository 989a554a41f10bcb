"""The event log, each part by itself."""
