"""One module at a time; mirrors the source tree."""
