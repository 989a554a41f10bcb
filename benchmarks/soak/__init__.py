"""The edge and the archive worker at half load for long: whether memory and lag stay as they are."""
