"""One record that the store can't take is set aside alone, says so, and comes in once its cause is gone."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import datetime
from typing import TYPE_CHECKING

from broker.core.model import Kind
from broker.core.topics import ARCHIVED_STREAMS, Stream, TopicPartition, topic_name
from broker.workers.archive import GROUP
from broker.workers.lag import look
from connectors.simulator.ids import Customer, user_id_of
from connectors.simulator.payloads import contents
from tests.fault.outage import archive_health, beats_of, has_beaten
from tests.stage.entries import logged
from tests.stage.home import PROVIDER, TENANTS
from tests.stage.kills import Kill
from tests.stage.poison import cure, poison
from tests.stage.stage import APART, StageOptions

if TYPE_CHECKING:
    from connectors.simulator.draft import Draft
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage

_ENTRIES = 500
_KILLS = (
    Kill(step="log.append_dead", moment="after", count=1),
    Kill(step="log.append_dead", moment="after"),
)
"""Of each of two dead letters: between telling it on `dead` and keeping that it is one."""
_PHONE = "27000000077"
_WRITER = Customer(user_id=user_id_of(_PHONE), phone=_PHONE)


async def test_what_the_store_can_not_take_is_set_aside_alone(open_each_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    options = StageOptions(seed=fault_seed, overrides={"workers": {"batch_entries": _ENTRIES}})
    async with open_each_stage(options) as stage:
        drafts = _drafts(stage, chance, _ENTRIES)
        poisonous = chance.sample(drafts, 2)
        await poison(stage, _ids(stage, poisonous), by_trigger=fault_seed % 2 == 0)
        await stage.employ("edge", ("edge",))
        await _send(stage, drafts)
        await stage.until("all is delivered", lambda: _nothing_pending(stage))
        archive = await stage.employ("archive", ("archive",), kills=_KILLS)
        await stage.employ("rest", ("media", "relay", "erase", "claim"))
        await stage.play()
        await stage.until("the rest is kept", lambda: _rest_is_kept(stage))

        assert archive.struck == list(_KILLS)
        assert await _kept(stage, drafts) == _ENTRIES - len(poisonous)
        account = await stage.account()
        assert (account.dead, account.gaps_by_cause["dead"]) == (2, 2)
        await _are_dead_letters(stage, poisonous)
        await _are_shown(stage)

        await cure(stage)
        code, said = await stage.command("dead", "redrive", "--all", "--reason", "the store takes it now")
        assert code == 0, said
        account = await stage.settled()

        assert account.dead == 0
        assert "dead" not in account.gaps_by_cause
        assert await _kept(stage, drafts) == _ENTRIES
        assert await _acts(stage) == ["read_dead", "redrive"]


async def test_too_many_dead_letters_stop_one_partition_until_their_cause_is_mended(
    open_each_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    limit = chance.randint(2, 6)
    overrides = {"workers": {"dead_letters_in_a_row": limit}}
    options = StageOptions(seed=fault_seed, processes=APART, overrides=overrides)
    async with open_each_stage(options) as stage:
        drafts = _drafts(stage, chance, 60)
        await poison(stage, _ids(stage, drafts))
        await stage.start()
        await asyncio.gather(stage.play(), _send(stage, drafts))
        await stage.until("one partition is stopped, and all others are read", lambda: _one_is_stopped(stage))
        dead = await stage.store.dead_letters()
        tries = await beats_of(stage) + 30
        await stage.until("it was tried again", lambda: has_beaten(stage, tries))

        assert await stage.store.dead_letters() == dead, "once it is stopped, nothing more is set aside"
        assert {one.tenant for one in dead} == {TENANTS[0]}
        assert len({(one.topic, one.partition) for one in dead}) == 1
        in_a_row = sorted(one.offset for one in dead)[-limit:]
        assert in_a_row == list(range(in_a_row[0], in_a_row[0] + limit)), "what came through meanwhile counted anew"
        assert await stage.dead_letters() == len(dead)
        log = stage.actors["archive"].log.read_text()
        assert f"{limit} dead letters in a row, the last for unstorable" in log
        assert (await stage.actors["archive"].health("live"))[0] == 200

        await cure(stage)
        await stage.until("it goes on by itself", lambda: _only_dead(stage, len(dead)))
        code, said = await stage.command("dead", "redrive", "--all", "--reason", "the store takes it now")
        assert code == 0, said
        account = await stage.settled()

        assert account.dead == 0
        assert await _kept(stage, drafts) == len(drafts)
        assert stage.actors["archive"].starts == 1


def _drafts(stage: Stage, chance: random.Random, count: int) -> list[Draft]:
    """Texts and photos, enough of them to fill a few batches of one conversation."""
    compose = stage.provider.composer(stage.home.account(TENANTS[0]))
    return [
        compose.message(
            _WRITER,
            contents.image(compose.media("image/jpeg")) if chance.random() < 0.1 else contents.text(f"text {number}"),
        )
        for number in range(count)
    ]


async def _send(stage: Stage, drafts: list[Draft]) -> None:
    for draft in drafts:
        await stage.provider.send(draft)


def _record_id(stage: Stage, draft: Draft) -> str:
    tenant = stage.registry.tenants[TENANTS[0]]
    return tenant.key.record_id(
        provider=PROVIDER, account=draft.account, kind="message", native_key=(draft.message_id,)
    )


def _ids(stage: Stage, drafts: list[Draft]) -> list[str]:
    return [_record_id(stage, draft) for draft in drafts]


async def _kept(stage: Stage, drafts: list[Draft]) -> int:
    """How many of these are in the store."""
    ids = set(_ids(stage, drafts))
    return len([one async for one in stage.store.records(TENANTS[0]) if one.record.envelope.record_id in ids])


async def _are_dead_letters(stage: Stage, poisonous: list[Draft]) -> None:
    """Each is on `dead`, once, with its own bytes and the reason, also where a worker was killed."""
    dead = await stage.store.dead_letters(TENANTS[0])
    assert [one.code for one in dead] == ["unstorable", "unstorable"]
    gaps = [await stage.store.record(TENANTS[0], one.gap_record_id) for one in dead]
    stand_for = {relation.record_id for gap in gaps if gap for relation in gap.record.envelope.relations}
    assert stand_for == {_record_id(stage, draft) for draft in poisonous}

    told = [entry async for entry in logged(stage.log, [topic_name(TENANTS[0], Stream.DEAD)])]
    names = [str(entry.header("custody-dead-of")) for entry in told]
    assert sorted(names) == sorted(f"{one.topic}/{one.partition}/{one.offset}" for one in dead)
    for entry, name in zip(told, names, strict=True):
        topic, partition, offset = name.rsplit("/", 2)
        (own,) = await stage.log.read(TopicPartition(topic, int(partition)), int(offset), max_entries=1)
        headers = dict(entry.headers)
        assert entry.value == own.value
        assert headers["custody-dead-key"] == own.key
        assert headers["custody-dead-event"].decode() == own.event_id
        assert headers["custody-dead-code"] == b"unstorable"
        assert int(headers["custody-dead-attempts"]) >= 1
        assert datetime.fromisoformat(headers["custody-dead-at"].decode()) >= own.appended_at
        assert dict(own.headers).items() - headers.items() <= {("ce_id", own.event_id.encode())}


async def _are_shown(stage: Stage) -> None:
    """The operator sees which they are, and their bytes for a reason only."""
    code, said = await stage.command("dead", "list", "--json")
    assert code == 0, said
    listed = [one["dead"] for one in json.loads(said)]
    assert len(listed) == 2
    code, said = await stage.command("dead", "show", listed[0], "--json")
    assert (code, "content" in json.loads(said)) == (0, False), said
    assert (await stage.command("dead", "show", listed[0], "--content"))[0] == 2, "without a reason"
    code, said = await stage.command("dead", "show", listed[0], "--content", "--reason", "to see why", "--json")
    assert (code, "content" in json.loads(said)) == (0, True), said


async def _acts(stage: Stage) -> list[str]:
    """What operators did, in order."""
    found = [one async for one in stage.store.records(TENANTS[0]) if one.record.envelope.kind == Kind.ACT]
    return [one.record.envelope.type for one in sorted(found, key=lambda one: one.kept_at)]


async def _nothing_pending(stage: Stage) -> bool:
    return not stage.provider.pending


async def _one_is_stopped(stage: Stage) -> bool:
    """Whether one partition waits for a person, and no other has anything left to read."""
    if stage.provider.pending:
        return False
    topics = [topic_name(tenant, stream) for tenant in TENANTS for stream in ARCHIVED_STREAMS]
    behind = {one.place for one in await look(stage.log, stage.store, GROUP, topics) if one.entries}
    names = {f"{place.topic}/{place.partition}": "dead_letter_limit" for place in behind}
    return len(names) == 1 and (await archive_health(stage)).get("stopped") == names


async def _only_dead(stage: Stage, count: int) -> bool:
    return not await stage.pending() and (await stage.account()).dead == count


async def _rest_is_kept(stage: Stage) -> bool:
    """By its own sums the account closes with two dead letters; the provider still holds what they stand for."""
    return not await stage.pending() and (await stage.account()).dead == 2
