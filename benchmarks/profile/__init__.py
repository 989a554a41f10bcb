"""Where the microseconds of a record go, stage by stage."""
