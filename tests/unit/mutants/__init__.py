"""Tests of the mutants themselves."""
