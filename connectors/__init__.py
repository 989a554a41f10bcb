"""One folder a provider: how its messages come in, and how they are erased there."""
