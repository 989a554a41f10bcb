"""Figures of interleaved runs: rates, latencies, spreads, and ratios taken pair by pair. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.machine import Spent

_MICROSECONDS = 1_000_000
_MILLISECONDS = 1_000


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

    @classmethod
    def of(cls, spent: Spent, counts: Mapping[str, int], *, data_bytes: int) -> Self:
        """A run that took so much."""
        return cls(
            seconds=spent.seconds,
            counts=counts,
            data_bytes=data_bytes,
            cpu_seconds=spent.cpu_seconds,
            peak_memory_bytes=spent.peak_memory_bytes,
        )

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
class Quantiles:
    """How long the requests of one run took, in milliseconds: so many of a hundred took no longer."""

    count: int
    median: float
    p90: float
    p99: float
    p999: float
    maximum: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Self:
        """Those of these waits; there is at least one."""
        ordered = sorted(wait * _MILLISECONDS for wait in seconds)
        median, p90, p99, p999 = (quantile(ordered, share) for share in (0.5, 0.9, 0.99, 0.999))
        return cls(count=len(ordered), median=median, p90=p90, p99=p99, p999=p999, maximum=ordered[-1])

    @property
    def tail(self) -> float:
        """How many times the median the 99th percentile is."""
        return self.p99 / self.median


def quantile(ordered: Sequence[float], share: float) -> float:
    """The least of these rising values that this share of them (0 to 1) does not exceed: one that was seen."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A subject's latencies and its floors', of as many requests at the same rate: `runs` in the order of the rounds.

    Each counts from when its request was due.
    """

    title: str
    subject: str
    runs: Mapping[str, Sequence[Quantiles]]

    def ratios(self, floor: str, name: str) -> tuple[float, ...]:
        """The subject's quantile of this name over the floor's, round by round."""
        pairs = zip(self.runs[self.subject], self.runs[floor], strict=True)
        return tuple(getattr(ours, name) / getattr(bare, name) for ours, bare in pairs)


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
    latencies: Sequence[Latency] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    series: Sequence[Series] = ()


def _ratio(ours: Sample, bare: Sample) -> float:
    if ours.counts != bare.counts:
        raise ValueError(f"not the same work: {dict(ours.counts)} beside {dict(bare.counts)}")
    return bare.seconds / ours.seconds
