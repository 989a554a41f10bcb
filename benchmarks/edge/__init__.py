"""The webhook edge up to the log's acknowledgement, next to a bare handler with the same append."""

from benchmarks.edge.bench import measure

__all__ = ["measure"]
