"""How fast, next to a floor measured in the same run.

A floor is a bare client that does the same work without Custody: what the machine allows. Runs of both are interleaved,
so that a noisy machine troubles them alike; the ratio, taken pair by pair, is what counts.
"""
