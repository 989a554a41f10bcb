"""Records on MongoDB."""
