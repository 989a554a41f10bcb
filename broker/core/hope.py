"""Hope that a batch's records are all new, which nearly always holds: a store then need not look for them first.

One that is there already is found out by inserting it: nothing is written then, and the batch is kept after a look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import Answer

_CAUTIOUS_BATCHES = 20
"""Providers seldom deliver twice, but then often many in a row."""
_SEEN_BEFORE = frozenset({"duplicate", "variant"})


@dataclass(slots=True)
class Hope:
    """Given up for some batches when one of them held what was there already."""

    _caution: int = 0
    """For so many batches more, records are looked for before they are inserted."""

    def for_next(self) -> bool:
        """Whether there is hope for the next batch."""
        if self._caution == 0:
            return True
        self._caution -= 1
        return False

    def learn(self, answers: Sequence[Answer]) -> None:
        """From what became of a batch."""
        if any(one.outcome in _SEEN_BEFORE for one in answers):
            self._caution = _CAUTIOUS_BATCHES
