"""Mutants: what other systems got wrong, put into Custody on purpose, to see a test fail of it.

Each `*.patch` here takes out one protection. Its head says which complaint that protection answers, and which tests
are to fail; the rest is what `git apply` reads.
"""
