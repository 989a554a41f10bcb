"""The last resort: a fault of a builder costs its item the details, never the item."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from connectors.whatsapp_cloud.parsing import drafts

if TYPE_CHECKING:
    from connectors.whatsapp_cloud.parsing.scene import Scene

Builder = Callable[[bytes, "Scene"], tuple[drafts.Draft, ...]]
"""From an element's slice and its scene to at least one draft."""


def each(builder: Builder, rows: Iterable[bytes], scene: Scene) -> list[drafts.Draft]:
    """The drafts of every element."""
    found: list[drafts.Draft] = []
    for raw in rows:
        try:
            found += builder(raw, scene)
        except Exception:  # noqa: BLE001 - whatever the fault, what was signed and delivered is kept
            found.append(drafts.rescued(raw))
    return found
