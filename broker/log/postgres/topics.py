"""Looks after the topics of a Postgres log: which there are, and for how long their entries stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.ports import Finding
from broker.core.topic_plan import TopicChange, TopicPlan
from broker.core.topics import TopicSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broker.log.postgres.log import PostgresLog

RETENTION = "retention_seconds"
_FOREVER = "forever"


class PostgresTopics:
    """Implements `TopicAdmin` on an open log, which it closes with itself."""

    def __init__(self, log: PostgresLog) -> None:
        self._log = log

    async def plan(self, specs: Sequence[TopicSpec], *, grow: bool = False) -> TopicPlan:
        """See `TopicAdmin.plan`; partitions are for good here, so that `grow` grows nothing."""
        return plan_topics(specs, await self._log.describe_topics([one.name for one in specs]), grow=grow)

    async def apply(self, plan: TopicPlan) -> None:
        there = await self._log.describe_topics([one.topic for one in plan.changes])
        changed = [
            TopicSpec(name=one.topic, partitions=there[one.topic].partitions, retention_seconds=_seconds(one.becomes))
            for one in plan.changes
            if one.topic in there
        ]
        if plan.create or changed:
            await self._log.create_topics([*plan.create, *changed])

    async def close(self) -> None:
        await self._log.close()


def plan_topics(specs: Sequence[TopicSpec], there: Mapping[str, TopicSpec], *, grow: bool = False) -> TopicPlan:
    """What is to be done, given how the topics are."""
    found = [(spec, there[spec.name]) for spec in specs if spec.name in there]
    return TopicPlan(
        create=tuple(spec for spec in specs if spec.name not in there),
        changes=tuple(
            TopicChange(
                topic=spec.name,
                what=RETENTION,
                was=_shown(now.retention_seconds),
                becomes=_shown(spec.retention_seconds),
            )
            for spec, now in found
            if now.retention_seconds != spec.retention_seconds
        ),
        findings=tuple(
            _other_partitions(spec, now, level="problem" if grow else "warning")
            for spec, now in found
            if now.partitions != spec.partitions
        ),
    )


def _other_partitions(spec: TopicSpec, now: TopicSpec, *, level: str) -> Finding:
    return Finding(
        level=level,
        subject=spec.name,
        message=f"has {now.partitions} partitions, not {spec.partitions}: on this log their number is for good",
        remedy=f"CUSTODY_PARTITIONS={now.partitions}, or a log on Kafka",
    )


def _shown(seconds: int | None) -> str:
    return _FOREVER if seconds is None else str(seconds)


def _seconds(shown: str) -> int | None:
    return None if shown == _FOREVER else int(shown)
