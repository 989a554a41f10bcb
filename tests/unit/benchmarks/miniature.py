"""What the benchmarks in miniature have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.figures import Comparison

ENTRIES = 240


def counts_of(comparison: Comparison) -> set[tuple[tuple[str, int], ...]]:
    """What the runs of every side counted: one element, when all counted the same."""
    return {tuple(one.counts.items()) for samples in comparison.samples.values() for one in samples}
