"""Tests of the benchmarks: that their floors are honest. None asserts a time."""
