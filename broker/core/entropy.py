"""Random bytes for salts and ids: the system's, or, for tests and the demo, drawn from a seed.

Workers and processes ask in an order that nobody can repeat. So whoever asks says what for, and a seeded source gives
the bytes that belong to that; the system's own pays no heed.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from broker.core.identity import framed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import Entropy

_REMEMBERED = 10_000


@dataclass(slots=True)
class SeededEntropy:
    """Bytes that whoever knows the seed knows too: for trying out alone.

    Of fresh bytes the source counts how often they were asked for; the longest unasked is forgotten, so that it stays
    small.
    """

    seed: int = field(repr=False)
    _asked: OrderedDict[bytes, int] = field(default_factory=OrderedDict, repr=False)

    def __call__(self, count: int) -> bytes:
        """Bytes for nothing in particular: others with each call."""
        return self.about((), count, fresh=True)

    def about(self, what: Sequence[str | bytes], count: int, *, fresh: bool) -> bytes:
        """The bytes that belong to `what`: the same again, or, if they are to be fresh, others with each call."""
        name = framed("custody/seeded/v1", (str(self.seed), *what))
        number = self._number(name) if fresh else 0
        return hashlib.shake_256(framed("custody/seeded/v1", (name, str(number)))).digest(count)

    def _number(self, name: bytes) -> int:
        number = self._asked.pop(name, 0) + 1
        self._asked[name] = number
        if len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)
        return number


def drawn(entropy: Entropy, count: int, *about: str | bytes, fresh: bool = False) -> bytes:
    """So many random bytes; from a seeded source those that belong to `about`.

    `about` names one thing among all: an id and what is done with it. With `fresh` the same thing may come again, and
    then gets other bytes.
    """
    if isinstance(entropy, SeededEntropy):
        return entropy.about(about, count, fresh=fresh)
    return entropy(count)
