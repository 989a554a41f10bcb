"""What the parent tells the process of this benchmark."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.logs import LogAt


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionOrders:
    """Append so many entries, packed in this way, a webhook body's entries at once and so many bodies side by side."""

    log: LogAt
    compression: str
    entries: int
    bodies_at_once: int
