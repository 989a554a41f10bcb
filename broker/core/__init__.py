"""Values and decisions: no I/O, no driver, no framework."""
