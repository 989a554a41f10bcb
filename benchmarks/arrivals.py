"""When requests are due that nobody holds back. Pure."""

from __future__ import annotations

import random
from itertools import accumulate


def due_seconds(count: int, *, rate: float, seed: int) -> list[float]:
    """Seconds from the start, rising, at which each of `count` requests is due: arrivals of a Poisson process.

    `rate`: so many a second on average; 0: all of them at once. The same for the same seed.
    """
    if not rate:
        return [0.0] * count
    gaps = random.Random(seed)
    return list(accumulate(gaps.expovariate(rate) for _ in range(count)))
