"""What is to be done about topics, given how they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from broker.core.topic_plan import TopicChange
from broker.log.kafka.planning import plan_topics
from tests.unit.broker.log.kafka.topics import DEAD, MESSAGES, OPTIONS, SPECS, partitions, topic

if TYPE_CHECKING:
    from broker.core.topic_plan import TopicPlan
    from broker.log.kafka.facts import TopicFacts

WRITTEN = frozenset({MESSAGES.name})


def planned(*there: TopicFacts, written: frozenset[str] = WRITTEN, grow: bool = False) -> TopicPlan:
    return plan_topics(
        SPECS,
        {one.name: one for one in there},
        options=OPTIONS,
        brokers=[1, 2, 3],
        written=written,
        grow=grow,
    )


def test_what_is_right_is_left_alone() -> None:
    plan = planned(*map(topic, SPECS))
    assert (plan.changes_anything, plan.findings) == (False, ())


def test_what_is_missing_is_created() -> None:
    assert planned(topic()).create == (DEAD,)


def test_other_settings_of_the_operators_are_nobodys_business() -> None:
    assert not planned(topic(segment_bytes="1", flush_ms="1"), topic(DEAD)).changes_anything


def test_a_setting_that_differs_is_changed_and_no_other() -> None:
    plan = planned(topic(cleanup_policy="compact"), topic(DEAD))
    assert plan.changes == (TopicChange(topic=MESSAGES.name, what="cleanup.policy", was="compact", becomes="delete"),)


def test_what_is_right_by_the_clusters_default_alone_is_set_on_the_topic() -> None:
    by_default = topic()
    by_default = replace(by_default, own=by_default.own - {"cleanup.policy"})
    (change,) = planned(by_default, topic(DEAD)).changes
    assert (change.what, change.was) == ("cleanup.policy", "delete (the cluster's default)")


def test_a_topic_nobody_wrote_to_grows() -> None:
    small = replace(topic(), partitions=partitions(1))
    plan = planned(small, topic(DEAD), written=frozenset())
    assert plan.changes == (TopicChange(topic=MESSAGES.name, what="partitions", was="1", becomes="2"),)
    assert plan.findings == ()


@pytest.mark.parametrize("grow", [True, False])
def test_keys_are_torn_apart_only_if_told_to(grow: bool) -> None:
    plan = planned(replace(topic(), partitions=partitions(1)), topic(DEAD), grow=grow)
    (finding,) = plan.findings
    assert (plan.changes_anything, finding.level) == ((True, "warning") if grow else (False, "problem"))
    assert "overtake" in finding.message


@pytest.mark.parametrize("grow", [True, False])
def test_partitions_are_never_taken_away(grow: bool) -> None:
    plan = planned(replace(topic(), partitions=partitions(9)), topic(DEAD), grow=grow)
    assert not plan.changes_anything
    assert [one.level for one in plan.findings] == ["warning"]


def test_replicas_are_moved_by_kafkas_own_tool() -> None:
    plan = planned(replace(topic(), partitions=partitions(2, replicas=(3, 1))), topic(DEAD))
    assert not plan.changes_anything
    (finding,) = plan.findings
    assert '"partition":0,"replicas":[3,1,2]' in finding.remedy
    assert finding.remedy.endswith("--execute")


def test_where_there_are_too_few_brokers_the_remedy_says_so() -> None:
    few = replace(topic(), partitions=partitions(2, replicas=(1,)))
    plan = plan_topics(SPECS, {few.name: few}, options=OPTIONS, brokers=[1], written=WRITTEN)
    assert [one.subject for one in plan.findings] == [MESSAGES.name, "topics"]
    assert all("add brokers" in one.remedy for one in plan.findings)
