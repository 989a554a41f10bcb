"""What whoever looks after a log's topics promises: a plan that changes nothing, and an apply that does just that."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import pytest

from broker.core.topic_plan import TopicPlan
from broker.core.topics import Stream, TopicSpec, tenant_topics, topic_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.topic_plan import TopicAdmin

DAY = 86_400


class TopicBench(Protocol):
    """An admin of topics, and a way to see what became of them. Topics are named apart by their tenant."""

    @property
    def admin(self) -> TopicAdmin: ...

    async def describe(self, topics: Sequence[str]) -> dict[str, TopicSpec]:
        """How topics are, by the log's own word."""
        ...


@pytest.fixture
def specs() -> tuple[TopicSpec, ...]:
    """Every topic of a tenant that no other test has."""
    return tenant_topics(f"t-{secrets.token_hex(6)}", partitions=2, retention_days=3)


class TopicAdminContract:
    """The same on every log."""

    async def test_missing_topics_are_planned_created_and_then_in_order(
        self, topics: TopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        plan = await topics.admin.plan(specs)
        assert (plan.create, plan.changes, plan.changes_anything) == (specs, (), True)
        await topics.admin.apply(plan)
        assert await topics.describe([one.name for one in specs]) == {one.name: one for one in specs}
        again = await topics.admin.plan(specs)
        assert (again.create, again.changes, again.changes_anything) == ((), (), False)

    async def test_a_plan_changes_nothing(self, topics: TopicBench, specs: tuple[TopicSpec, ...]) -> None:
        await topics.admin.plan(specs)
        assert await topics.describe([one.name for one in specs]) == {}
        await topics.admin.apply(await topics.admin.plan(specs))
        await topics.admin.plan([replace(one, retention_seconds=DAY) for one in specs])
        assert await topics.describe([one.name for one in specs]) == {one.name: one for one in specs}

    async def test_an_empty_plan_is_no_work(self, topics: TopicBench) -> None:
        await topics.admin.apply(TopicPlan())

    async def test_applying_twice_is_the_same_as_once(self, topics: TopicBench, specs: tuple[TopicSpec, ...]) -> None:
        plan = await topics.admin.plan(specs)
        await topics.admin.apply(plan)
        await topics.admin.apply(plan)
        longer = await topics.admin.plan([replace(one, retention_seconds=9 * DAY) for one in specs])
        await topics.admin.apply(longer)
        await topics.admin.apply(longer)
        found = await topics.describe([one.name for one in specs])
        assert {one.retention_seconds for one in found.values()} == {9 * DAY}

    async def test_another_retention_is_a_change_of_just_that(
        self, topics: TopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        await topics.admin.apply(await topics.admin.plan(specs))
        name = specs[0].name
        wanted = [replace(specs[0], retention_seconds=30 * DAY), *specs[1:]]
        plan = await topics.admin.plan(wanted)
        assert [one.topic for one in plan.changes] == [name]
        await topics.admin.apply(plan)
        found = await topics.describe([one.name for one in specs])
        assert found == {one.name: one for one in wanted}

    async def test_what_is_kept_forever_may_become_finite_and_the_other_way_round(
        self, topics: TopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        turned = [replace(one, retention_seconds=DAY if one.retention_seconds is None else None) for one in specs]
        await topics.admin.apply(await topics.admin.plan(turned))
        await topics.admin.apply(await topics.admin.plan(specs))
        assert await topics.describe([one.name for one in specs]) == {one.name: one for one in specs}

    async def test_only_the_topics_asked_about_are_touched(
        self, topics: TopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        await topics.admin.apply(await topics.admin.plan(specs[:2]))
        plan = await topics.admin.plan(specs[2:])
        assert plan.create == specs[2:]
        assert set(await topics.describe([one.name for one in specs])) == {one.name for one in specs[:2]}

    async def test_partitions_are_never_taken_away(self, topics: TopicBench, specs: tuple[TopicSpec, ...]) -> None:
        await topics.admin.apply(await topics.admin.plan(specs))
        fewer = [replace(one, partitions=1) for one in specs]
        plan = await topics.admin.plan(fewer, grow=True)
        assert not plan.changes_anything
        assert {one.subject for one in plan.findings} >= {one.name for one in specs}
        await topics.admin.apply(plan)
        assert await topics.describe([one.name for one in specs]) == {one.name: one for one in specs}

    async def test_the_same_topic_of_another_tenant_is_another_topic(
        self, topics: TopicBench, specs: tuple[TopicSpec, ...]
    ) -> None:
        await topics.admin.apply(await topics.admin.plan(specs))
        other = TopicSpec(
            name=topic_name(f"t-{secrets.token_hex(6)}", Stream.MESSAGES), partitions=3, retention_seconds=DAY
        )
        assert (await topics.admin.plan([*specs, other])).create == (other,)
