"""The workers: thin shells that fetch, call and act on what the core decides."""
