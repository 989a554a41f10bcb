"""Whoever looks after the topics of a Postgres log keeps every promise of the suite."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest_asyncio

from broker.log.postgres import PostgresLog, PostgresLogOptions, PostgresTopics
from tests.contract.topic_admin import TopicAdminContract, TopicBench, specs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from broker.core.topics import TopicSpec

__all__ = ["specs"]


@dataclass
class PostgresTopicBench:
    admin: PostgresTopics
    log: PostgresLog

    async def describe(self, topics: Sequence[str]) -> dict[str, TopicSpec]:
        return dict(await self.log.describe_topics(topics))


@pytest_asyncio.fixture
async def topics(database: str) -> AsyncIterator[TopicBench]:
    await PostgresLog.migrate(database)
    log = await PostgresLog.open(database, options=PostgresLogOptions(allow_unsafe_server=True))
    yield PostgresTopicBench(PostgresTopics(log), log)
    await log.close()


class TestPostgresTopics(TopicAdminContract):
    async def test_more_partitions_are_named_and_not_made(
        self, topics: TopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        await topics.admin.apply(await topics.admin.plan(specs))
        more = [replace(one, partitions=8) for one in specs]
        assert {one.level for one in (await topics.admin.plan(more)).findings} == {"warning"}
        plan = await topics.admin.plan(more, grow=True)
        assert not plan.changes_anything
        assert {one.level for one in plan.findings} == {"problem"}
