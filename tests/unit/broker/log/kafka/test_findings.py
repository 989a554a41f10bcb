"""What breaks a promise is named, with its remedy; what does not, is not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from broker.log.kafka.facts import ClusterFacts, PartitionFacts
from broker.log.kafka.findings import judge
from broker.log.kafka.options import KafkaSecurity
from tests.unit.broker.log.kafka.topics import BROKER, DAY, DEAD, MESSAGES, OPTIONS, SPECS, cluster, partitions, topic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.core.ports import Finding
    from broker.log.kafka.options import KafkaLogOptions


def found(
    facts: ClusterFacts,
    *,
    options: KafkaLogOptions = OPTIONS,
    strict: bool = True,
    erase_after_seconds: Mapping[str, float] | None = None,
) -> list[Finding]:
    """Every finding that is not an ok; each has a remedy."""
    told = judge(facts, SPECS, options=options, strict=strict, erase_after_seconds=erase_after_seconds or {})
    wrong = [one for one in told if one.level != "ok"]
    assert all(one.remedy for one in wrong)
    assert any(one.level == "ok" for one in told) == all(one.level != "problem" for one in wrong)
    return wrong


def the_one(facts: ClusterFacts, level: str = "problem", **given: object) -> str:
    (finding,) = found(facts, **given)  # type: ignore[arg-type]  # as `found` takes them
    assert finding.level == level
    return f"{finding.subject}: {finding.message}; {finding.remedy}"


def test_a_cluster_as_it_should_be_has_no_finding() -> None:
    assert found(cluster()) == []


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        ("min.insync.replicas", "1", "before 2 replicas have it"),
        ("unclean.leader.election.enable", "true", "entries are lost"),
        ("cleanup.policy", "compact", "a newer one has its key"),
        ("cleanup.policy", "compact,delete", "a newer one has its key"),
        ("message.timestamp.type", "CreateTime", "its writer says"),
        ("max.message.bytes", "1000000", "is refused"),
        ("retention.bytes", "1073741824", "before their time"),
        ("retention.ms", str(13 * DAY * 1000), "less than the settings want"),
    ],
)
def test_a_setting_of_a_topic_that_breaks_a_promise_is_named(setting: str, value: str, why: str) -> None:
    right = topic()
    said = the_one(cluster(replace(right, settings={**right.settings, setting: value})))
    assert f"{setting} is {value} on {MESSAGES.name}" in said
    assert why in said
    assert "custody topics apply" in said


def test_a_setting_that_several_topics_have_is_told_once() -> None:
    wrong = "true"
    said = the_one(cluster(*(topic(one, unclean_leader_election_enable=wrong) for one in SPECS)))
    assert f"on {MESSAGES.name}, {DEAD.name}" in said


def test_longer_retention_breaks_nothing() -> None:
    assert found(cluster(topic(retention_ms=str(90 * DAY * 1000)))) == []
    assert found(cluster(topic(retention_ms="-1"))) == []


def test_a_stream_that_is_kept_until_done_with_may_not_expire() -> None:
    said = the_one(cluster(topic(DEAD, retention_ms=str(900 * DAY * 1000))))
    assert f"on {DEAD.name}: what is not done with goes, too" in said


def test_entries_must_outlast_the_stores_backup() -> None:
    assert found(cluster(), erase_after_seconds={"acme": 13.0 * DAY}) == []
    said = the_one(cluster(), erase_after_seconds={"acme": 15.0 * DAY, "other": 1.0})
    assert "the store's backup" in said


def test_missing_topics_are_named() -> None:
    facts = cluster()
    there = {MESSAGES.name: facts.topics[MESSAGES.name]}
    assert f"1 of 2 are missing: {DEAD.name}" in the_one(replace(facts, topics=there))


@pytest.mark.parametrize("count", [1, 5])
def test_another_number_of_partitions_is_named(count: int) -> None:
    said = the_one(cluster(replace(topic(), partitions=partitions(count))), "warning")
    assert f"{count} partitions, not 2: {MESSAGES.name}" in said


def test_too_few_replicas_are_named_with_the_command_that_adds_them() -> None:
    facts = cluster(replace(topic(min_insync_replicas="1"), partitions=partitions(2, replicas=(2,))))
    options = replace(OPTIONS, min_insync=1)
    said = the_one(facts, options=options)
    assert "has 1 replicas, not 3" in said
    assert "kafka-reassign-partitions.sh --bootstrap-server one:9092,two:9092" in said
    assert '"partition":0,"replicas":[2,1,3]' in said
    assert '"partition":1,"replicas":[2,3,1]' in said


def test_a_topic_of_which_no_broker_may_fail_is_named() -> None:
    assert "min.insync.replicas is 3 of 3 replicas: no broker may fail" in the_one(
        cluster(topic(min_insync_replicas="3"))
    )
    facts = cluster(*(topic(one, min_insync_replicas="3") for one in SPECS))
    said = [one.message for one in found(facts, options=replace(OPTIONS, min_insync=3))]
    assert "an append waits for 3 of 3 replicas: no broker may fail" in said


def test_a_partition_without_a_leader_is_named() -> None:
    dead = PartitionFacts(number=1, leader=None, replicas=(1, 2, 3), insync=())
    said = the_one(cluster(replace(topic(), partitions=(*partitions(1), dead))))
    assert f"no leader: {MESSAGES.name}/1" in said


@pytest.mark.parametrize(("insync", "level"), [((1, 2), "warning"), ((1,), "problem")])
def test_replicas_out_of_sync_are_named(insync: tuple[int, ...], level: str) -> None:
    short = PartitionFacts(number=1, leader=1, replicas=(1, 2, 3), insync=insync)
    said = the_one(cluster(replace(topic(), partitions=(*partitions(1), short))), level)
    assert f"replicas are out of sync: {MESSAGES.name}/1" in said
    assert ("appends are refused" in said) == (level == "problem")


def test_one_broker_alone_is_named() -> None:
    options = replace(OPTIONS, replication=1, min_insync=1)
    alone = replace(cluster(), brokers={1: BROKER})
    for strict, level in ((True, "problem"), (False, "warning")):
        told = found(alone, options=options, strict=strict)
        assert {one.level for one in told} == {level}
        assert any("there is one broker" in one.message for one in told)


@pytest.mark.parametrize(
    ("setting", "value", "what"),
    [
        ("auto_create_topics_enable", "true", "auto.create.topics.enable is true on 2"),
        ("unclean_leader_election_enable", "true", "unclean.leader.election.enable is true on 2"),
        ("message_max_bytes", "1000000", "message.max.bytes is below"),
        ("offsets_retention_minutes", "10080", "offsets.retention.minutes is 10080"),
    ],
)
def test_a_setting_of_a_broker_is_named(setting: str, value: str, what: str) -> None:
    assert what in the_one(cluster(**{setting: value}), "warning")


def test_brokers_that_do_not_tell_their_settings_are_named() -> None:
    facts = cluster()
    said = the_one(replace(facts, brokers={**facts.brokers, 3: None}), "warning")
    assert "3 did not tell their settings" in said
    told = judge(replace(facts, brokers={3: None}), SPECS, options=OPTIONS, strict=False, erase_after_seconds={})
    assert "nothing told breaks a promise" in told[0].message


def test_a_topic_that_does_not_tell_its_settings_may_break_any_promise() -> None:
    said = the_one(cluster(replace(topic(), settings={}, own=frozenset())))
    assert f"the settings of {MESSAGES.name} are not told to this user" in said
    assert "--role operator" in said


def test_replicas_of_the_groups_places_that_nobody_tells_are_a_problem() -> None:
    silent = {1: None, 2: None, 3: None}
    told = found(replace(cluster(), brokers=silent, offsets=None))
    assert [(one.level, one.subject) for one in told] == [("warning", "brokers"), ("problem", "__consumer_offsets")]
    assert [one.level for one in found(replace(cluster(), brokers=silent))] == ["warning"]


def test_few_replicas_of_the_groups_places_are_named() -> None:
    facts = cluster()
    few = replace(topic(), name="__consumer_offsets", partitions=partitions(5, replicas=(1,)))
    assert "__consumer_offsets: has 1 replicas" in the_one(replace(facts, offsets=few))
    planned = replace(cluster(offsets_topic_replication_factor="1"), offsets=None)
    assert "__consumer_offsets: has 1 replicas" in the_one(planned)
    assert found(replace(facts, offsets=None)) == []


@pytest.mark.parametrize(
    ("security", "what"),
    [
        (KafkaSecurity(), {"the connection is plaintext", "nobody logs in"}),
        (KafkaSecurity(protocol="sasl_plaintext", mechanism="scram-sha-512"), {"the connection is sasl_plaintext"}),
        (KafkaSecurity(protocol="ssl"), {"nobody logs in"}),
    ],
)
def test_a_connection_that_is_not_secure_is_named(security: KafkaSecurity, what: set[str]) -> None:
    options = replace(OPTIONS, security=security)
    for strict, level in ((True, "problem"), (False, "warning")):
        told = found(cluster(), options=options, strict=strict)
        assert {one.message.partition(":")[0].partition(",")[0] for one in told} == what
        assert {one.level for one in told} == {level}
