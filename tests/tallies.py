"""How many tests ran on which implementation: the same suites run on several of them, and a run says how far it did.

What a test runs on is told from itself: by a parameter, else by the fixtures it takes, else by the name of its class;
where none of them says anything it is Postgres.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

FAULT_TESTS = "fault tests"
_OWN_SUITE = re.compile(r"(?!Test)(\w+)(Contract|Cases)")


class On(StrEnum):
    """What a test runs on."""

    MEMORY = "memory"
    POSTGRES = "Postgres"
    MONGO = "MongoDB (PyMongo)"
    MOTOR = "MongoDB (Motor)"
    S3 = "S3"
    S3_MONGO = "S3 and MongoDB"
    KAFKA = "Kafka"
    TWO = "two at once"


_PARAMETERS = {
    "memory": On.MEMORY,
    "postgres": On.POSTGRES,
    "pymongo": On.MONGO,
    "motor": On.MOTOR,
    "s3": On.S3,
    "s3_mongo": On.S3_MONGO,
    "kafka": On.KAFKA,
}
_FIXTURES = (
    (re.compile(r"s3_mongo|open_own_stage"), On.S3_MONGO),
    (re.compile(r"motor"), On.MOTOR),
    (re.compile(r"mongo"), On.MONGO),
    (re.compile(r"(^|_)s3(_|$)"), On.S3),
    (re.compile(r"kafka|open_cluster_stage"), On.KAFKA),
)
"""The first that any fixture's name fits holds."""
_CLASSES = (("TestMemory", On.MEMORY), ("TestDual", On.TWO))


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongs:
    """Which suite a test belongs to, and what it runs on."""

    suite: str
    on: On


@dataclass(slots=True)
class Tally:
    """Of one suite, by implementation: tests that ran, whatever they found, and tests that were skipped."""

    ran: Counter[On] = field(default_factory=Counter)
    skipped: Counter[On] = field(default_factory=Counter)

    @property
    def cases(self) -> Mapping[On, int]:
        """How many tests there were of each implementation that had any."""
        return self.ran + self.skipped

    def __str__(self) -> str:
        return ", ".join(f"{self.ran[one]} on {one}{self._skipped(one)}" for one in On if one in self.cases)

    def _skipped(self, one: On) -> str:
        return f" ({self.skipped[one]} skipped)" if self.skipped[one] else ""


def belongs(
    *, bases: Sequence[str], is_fault_test: bool, fixtures: Collection[str], parameters: Iterable[object]
) -> Belongs | None:
    """Where a test belongs; None if to no suite. `bases` are the names of its class and of those it comes from.

    Suites are the fault tests, and every class of cases that test classes for several implementations come from.
    """
    suite = FAULT_TESTS if is_fault_test else _suite_of(bases)
    return None if suite is None else Belongs(suite=suite, on=_on(bases, fixtures, parameters))


def tallied(found: Iterable[tuple[Belongs, bool]]) -> Mapping[str, Tally]:
    """The tallies of suites that have tests on several implementations; each test with whether it was skipped."""
    tallies: dict[str, Tally] = {}
    for one, skipped in found:
        tally = tallies.setdefault(one.suite, Tally())
        (tally.skipped if skipped else tally.ran)[one.on] += 1
    return {suite: one for suite, one in sorted(tallies.items()) if len(one.cases) > 1}


def uneven(tallies: Mapping[str, Tally]) -> Sequence[str]:
    """The suites of cases that are not as many for one implementation as for another; fault tests need not be."""
    return [suite for suite, one in tallies.items() if suite != FAULT_TESTS and len(set(one.cases.values())) > 1]


def _on(bases: Sequence[str], fixtures: Collection[str], parameters: Iterable[object]) -> On:
    by_parameter = [_PARAMETERS[one] for one in parameters if isinstance(one, str) and one in _PARAMETERS]
    by_fixture = [on for mark, on in _FIXTURES if any(map(mark.search, fixtures))]
    if {On.MONGO, On.S3} <= {*by_fixture}:
        by_fixture.insert(0, On.S3_MONGO)
    by_class = [on for mark, on in _CLASSES if any(name.startswith(mark) for name in bases[:1])]
    return next(iter([*by_parameter, *by_fixture, *by_class]), On.POSTGRES)


def _suite_of(bases: Sequence[str]) -> str | None:
    """`EventLogContract` is the event log contract, `ReplayCases` the replay cases; the outermost is the suite."""
    first = next((match for name in bases if (match := _OWN_SUITE.fullmatch(name))), None)
    return None if first is None else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", first[0]).lower()
