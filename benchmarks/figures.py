"""Figures of interleaved runs: rates, spreads, and ratios taken pair by pair. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of one side: what it did, in what time, at what cost to its own process.

    `counts` are by name (records, requests, ..): the first one is what the cost is divided by. `data_bytes` are those
    of what was moved: entries, or bodies.
    """

    seconds: float
    counts: Mapping[str, int]
    data_bytes: int
    cpu_seconds: float
    peak_memory_bytes: int

    def rate(self, name: str) -> float:
        """So many of `name` in a second."""
        return self.counts[name] / self.seconds

    @property
    def bytes_per_second(self) -> float:
        return self.data_bytes / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """CPU time of the process, user and system, for one of what is counted first."""
        return self.cpu_seconds * _MICROSECONDS / next(iter(self.counts.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The least, the middle and the most of some values."""

    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """The spread of these; there is at least one."""
        found = list(values)
        return cls(minimum=min(found), median=median(found), maximum=max(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A subject and its floors, each measured once in every round: `samples` by side, in the order of the rounds."""

    title: str
    subject: str
    samples: Mapping[str, Sequence[Sample]]

    @property
    def floors(self) -> tuple[str, ...]:
        return tuple(side for side in self.samples if side != self.subject)

    def ratios(self, floor: str) -> tuple[float, ...]:
        """The subject's rate over the floor's, round by round: both did the same work, so their times tell."""
        pairs = zip(self.samples[self.subject], self.samples[floor], strict=True)
        return tuple(_ratio(ours, bare) for ours, bare in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """How something went: lines by name, of points (x, y) in the order of x. `x` and `y` are the axes, with units.

    `powers`: x is to be drawn by powers of ten.
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    powers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a benchmark found: comparisons, plain `figures` by what they say, with their unit, and what to plot."""

    name: str
    parameters: Mapping[str, object]
    comparisons: Sequence[Comparison] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    series: Sequence[Series] = ()


def _ratio(ours: Sample, bare: Sample) -> float:
    if ours.counts != bare.counts:
        raise ValueError(f"not the same work: {dict(ours.counts)} beside {dict(bare.counts)}")
    return bare.seconds / ours.seconds
