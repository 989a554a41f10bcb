"""How fast, next to a floor measured in the same run."""
