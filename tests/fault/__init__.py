"""Faults against real servers; each test ends in an account that closes."""
