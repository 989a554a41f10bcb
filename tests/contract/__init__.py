"""The same cases over every implementation of a seam."""
