"""What retention took before it was kept stops its partition until somebody accepts the loss; all else goes on."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from broker.core.model import Kind
from broker.core.topics import ARCHIVED_STREAMS, Stream, TopicPartition, topic_name
from broker.workers.archive import GROUP
from broker.workers.lag import look
from tests.stage.home import TENANTS
from tests.stage.stage import APART, StageOptions

if TYPE_CHECKING:
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage

_WHY = ("--why", "no copy of it is left", "--by", "Kim")
_WATCHFUL = {"workers": {"lag_poll_seconds": 0.2, "lag_alarm_seconds": 1.0}}


async def test_a_loss_stops_its_partition_until_it_is_accepted(open_log_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    options = StageOptions(seed=fault_seed, processes=APART, overrides=_WATCHFUL)
    async with open_log_stage(options) as stage:
        await stage.start()
        await stage.play()
        before = await stage.settled()
        await stage.servers.refuse("records")
        await stage.play(60)
        await stage.until("the provider is done", lambda: _delivered(stage))
        await stage.until("an alarm is raised", lambda: _alarmed(stage))
        await stage.dismiss("archive")
        await stage.servers.accept("records")
        place, first, end = await _longest_unread(stage)
        upto = end if fault_seed % 2 == 0 else chance.randint(first + 1, end - 1)
        await stage.log.trim(place, upto)
        name = f"{place.topic}/{place.partition}"

        archive = await stage.employ("archive", ("archive",))
        await stage.until("the partition is stopped", lambda: _stopped(stage, {name: "offset_gap"}))
        await stage.until("all else is done", lambda: _only_behind(stage, place))
        assert (await stage.account()).lost == 0
        await _lag_tells(stage, place, first, upto)
        await _refuses_anything_else(stage, name, first, upto)
        assert await _stopped(stage, {name: "offset_gap"})

        arguments = ("gap", "accept", name, "--from", str(first), "--to", str(upto))
        code, said = await stage.command(*arguments, *_WHY, "--json")
        assert code == 0, said
        gap_record_id = json.loads(said)["record"]
        await stage.play()
        await stage.until("all else is kept", lambda: _only_lost(stage, upto - first))

        assert archive.starts == 1
        assert await _stopped(stage, {})
        account = await stage.account()
        assert account.lost == upto - first
        assert account.dead == account.unprocessed == 0
        assert account.accepted == account.kept + account.duplicates + account.variants + account.lost
        assert account.gaps_by_cause["lost"] == 1
        assert account.kept > before.kept
        await _told(stage, place, gap_record_id)

        code, said = await stage.command(*arguments, "--why", "again")
        assert code == 2, said
        assert b"no loss to accept" in said


async def test_what_was_lost_before_anything_was_kept_is_no_less_a_loss(
    open_log_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    async with open_log_stage(StageOptions(seed=fault_seed, processes=APART)) as stage:
        await stage.start("edge")
        await stage.play(60)
        await stage.until("the provider is done", lambda: _delivered(stage))
        place, end = await _longest(stage)
        upto = end if fault_seed % 2 == 0 else chance.randint(1, end - 1)
        await stage.log.trim(place, upto)
        name = f"{place.topic}/{place.partition}"

        await stage.start("archive", "rest")
        await stage.until("all else is done", lambda: _only_behind(stage, place))
        assert await _stopped(stage, {name: "offset_gap"})
        await _lag_tells(stage, place, 0, upto)
        code, said = await stage.command("gap", "accept", name, "--from", "0", "--to", str(upto), *_WHY)
        assert code == 0, said
        await stage.play()
        await stage.until("all else is kept", lambda: _only_lost(stage, upto))

        account = await stage.account()
        assert (account.lost, account.gaps_by_cause["lost"]) == (upto, 1)
        assert account.accepted == account.kept + account.duplicates + account.variants + account.lost
        assert stage.actors["archive"].starts == 1


async def _longest(stage: Stage) -> tuple[TopicPartition, int]:
    """The partition of messages with the most in it, and how much that is."""
    bounds = await stage.log.bounds([topic_name(tenant, Stream.MESSAGES) for tenant in TENANTS])
    place = max(bounds, key=lambda one: bounds[one].end)
    assert bounds[place].end > 1, "too little was sent"
    return place, bounds[place].end


async def _alarmed(stage: Stage) -> bool:
    """Whether the archive worker says that messages or statuses wait for long."""
    lines = [json.loads(line) for line in stage.actors["archive"].log.read_text().splitlines() if line.startswith("{")]
    return any(one.get("action") == "lag.alarm" for one in lines)


async def _lag_tells(stage: Stage, place: TopicPartition, first: int, upto: int) -> None:
    """The command names what is stopped, by whom it is read, and exactly what is lost; with and without the worker."""
    end = (await stage.log.bounds([place.topic]))[place].end
    health = f"http://127.0.0.1:{stage.actors['archive'].health_port}"
    for arguments in ((), ("--health", health)):
        code, said = await stage.command("lag", "--json", *arguments)
        assert code == 0, said
        rows = json.loads(said)["partitions"]
        (stopped,) = [one for one in rows if one["stopped"]]
        assert (stopped["topic"], stopped["partition"], stopped["group"]) == (place.topic, place.partition, "archive")
        assert stopped["stopped"] == "offset_gap"
        assert (stopped["kept_to"], stopped["lost"], stopped["lag"]) == (first, upto - first, end - first)
        assert stopped["owner"]
        assert all(one["lag"] == 0 for one in rows if one["group"] == "archive" and one is not stopped)
    code, said = await stage.command("lag", "--health", "http://127.0.0.1:1")
    assert code == 0, said
    assert f"stopped: offset_gap (lost {first} to {upto})".encode() in said
    assert b"http://127.0.0.1:1 does not answer" in said


async def _refuses_anything_else(stage: Stage, name: str, first: int, upto: int) -> None:
    """More, less, or elsewhere: nothing is written."""
    for wrong in ((first, upto + 1), (first, upto - 1), (first - 1, upto), (first + 1, upto), (upto, upto + 1)):
        code, said = await stage.command(
            "gap", "accept", name, "--from", str(wrong[0]), "--to", str(wrong[1]), "--reason", "a slip"
        )
        assert code == 2, said
        assert f"--from {first} --to {upto}".encode() in said
    code, _ = await stage.command("gap", "accept", name, "--from", str(first), "--to", str(upto))
    assert code == 2, "without a reason"
    other = name.replace("messages", "receipts").replace("statuses", "receipts")
    code, said = await stage.command("gap", "accept", other, "--from", "0", "--to", "1", "--reason", "a slip")
    assert code == 2, said
    account = await stage.account()
    assert (account.lost, account.gaps_by_cause.get("lost", 0)) == (0, 0)


async def _told(stage: Stage, place: TopicPartition, gap_record_id: str) -> None:
    """The loss is listed, is a record, and an act says who accepted it and why."""
    code, said = await stage.command("gap", "list", "--json")
    assert code == 0, said
    (listed,) = [one for one in json.loads(said) if one["cause"] == "lost"]
    tenant = listed["tenant"]
    assert place.topic == topic_name(tenant, Stream(listed["stream"]))
    assert listed["record_id"] == gap_record_id
    gap = await stage.store.record(tenant, gap_record_id)
    assert gap is not None
    assert (gap.record.envelope.kind, gap.record.envelope.type) == (Kind.GAP, "lost")
    acts = [one.record async for one in stage.store.records(tenant) if one.record.envelope.kind == Kind.ACT]
    (act,) = [one for one in acts if one.envelope.type == "accept_loss"]
    assert [one.record_id for one in act.envelope.relations] == [gap_record_id]
    assert b"no copy of it is left" in act.content.data


async def _delivered(stage: Stage) -> bool:
    return stage.provider.pending == 0


async def _longest_unread(stage: Stage) -> tuple[TopicPartition, int, int]:
    """The partition of messages with the most that is not kept yet: from where to where."""
    topics = [topic_name(tenant, Stream.MESSAGES) for tenant in TENANTS]
    progress = await stage.store.progress(stage.log.identity, topics)
    bounds = await stage.log.bounds(topics)
    spans = {place: (one.next, bounds[place].end) for place, one in progress.items()}
    place = max(spans, key=lambda one: spans[one][1] - spans[one][0])
    assert spans[place][1] - spans[place][0] > 2, "too little was sent"
    return place, *spans[place]


async def _only_behind(stage: Stage, place: TopicPartition) -> bool:
    """Whether nothing is left to do but in this partition."""
    if [one for one in await stage.pending() if " unprocessed is " not in one]:
        return False
    topics = [topic_name(tenant, stream) for tenant in TENANTS for stream in ARCHIVED_STREAMS]
    found = await look(stage.log, stage.store, GROUP, topics)
    return {one.place for one in found if one.entries} == {place}


async def _stopped(stage: Stage, expected: dict[str, str]) -> bool:
    _, health = await stage.actors["archive"].health("workers")
    return isinstance(health, dict) and health.get("archive", {}).get("stopped") == expected


async def _only_lost(stage: Stage, lost: int) -> bool:
    """Whether nothing keeps the accounts from closing but what was accepted as lost."""
    if stage.provider.pending:
        return False
    problems = [problem for account in (await stage.accounts()).values() for problem in account.problems()]
    return problems == [f"lost is {lost}, not 0"]
