"""Copying a store and comparing two: the memory it takes, at two sizes."""
