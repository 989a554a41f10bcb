"""How many tests ran on which log: the same suites run on Postgres and on Kafka, and a run says how far it did.

A test is on Kafka if it takes a fixture of Kafka's or a parameter `kafka`, else on Postgres; told from the test itself.
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
_KAFKA_FIXTURE = re.compile(r"kafka|open_cluster_stage")
_KAFKA = "kafka"


class Log(StrEnum):
    """What a test's log is on."""

    POSTGRES = "Postgres"
    KAFKA = "Kafka"


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongs:
    """Which suite a test belongs to, and which log it runs on."""

    suite: str
    log: Log


@dataclass(slots=True)
class Tally:
    """Of one suite, by log: tests that ran, whatever they found, and tests that were skipped."""

    ran: Counter[Log] = field(default_factory=Counter)
    skipped: Counter[Log] = field(default_factory=Counter)

    def __str__(self) -> str:
        return ", ".join(f"{self.ran[log]} on {log}{self._skipped(log)}" for log in Log)

    def _skipped(self, log: Log) -> str:
        return f" ({self.skipped[log]} skipped)" if self.skipped[log] else ""


def belongs(
    *, bases: Sequence[str], is_fault_test: bool, fixtures: Collection[str], parameters: Iterable[object]
) -> Belongs | None:
    """Where a test belongs; None if to no suite. `bases` are the names of its class and of those it comes from.

    Suites are the fault tests, and every class of cases that test classes for several implementations come from.
    """
    suite = FAULT_TESTS if is_fault_test else _suite_of(bases)
    if suite is None:
        return None
    on_kafka = any(_KAFKA_FIXTURE.search(name) for name in fixtures) or _KAFKA in parameters
    return Belongs(suite=suite, log=Log.KAFKA if on_kafka else Log.POSTGRES)


def tallied(found: Iterable[tuple[Belongs, bool]]) -> Mapping[str, Tally]:
    """The tallies of the suites that have anything on Kafka, ran or skipped; each test with whether it was skipped."""
    tallies: dict[str, Tally] = {}
    for one, skipped in found:
        tally = tallies.setdefault(one.suite, Tally())
        (tally.skipped if skipped else tally.ran)[one.log] += 1
    return {suite: one for suite, one in sorted(tallies.items()) if one.ran[Log.KAFKA] or one.skipped[Log.KAFKA]}


def _suite_of(bases: Sequence[str]) -> str | None:
    """`EventLogContract` is the event log contract, `ReplayCases` the replay cases; the outermost is the suite."""
    first = next((match for name in bases if (match := _OWN_SUITE.fullmatch(name))), None)
    return None if first is None else re.sub(r"(?<=[a-z])(?=[A-Z])", " ", first[0]).lower()
