"""A batch of several partitions that fails half way: each of them goes on where it stood, and none is passed over."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from broker.core.topics import ARCHIVED_STREAMS, Stream, TopicPartition, topic_name
from broker.workers.archive import GROUP as ARCHIVE
from tests.stage.home import TENANTS
from tests.stage.kills import Kill
from tests.stage.stage import StageOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fault.conftest import OpenStage
    from tests.stage.actors import Actor
    from tests.stage.stage import Stage

_APART = {"edge": ("edge",), "rest": ("media", "relay", "erase", "claim")}
_OPTIONS = {"workers": {"batch_entries": 200}}
_TOPICS = [topic_name(tenant, stream) for tenant in TENANTS for stream in ARCHIVED_STREAMS]


async def test_a_batch_that_dies_between_keep_and_commit_comes_again_in_all_its_partitions(
    open_log_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    moments = [("records.keep", "after"), ("log.append", "before"), ("subscription.commit", "before")]
    step, moment = chance.choice(moments)
    async with open_log_stage(StageOptions(seed=fault_seed, processes=_APART, overrides=_OPTIONS)) as stage:
        await _backlog(stage)
        archive = await stage.employ("archive", ("archive",), kills=[Kill(step=step, moment=moment, signal="SIGSTOP")])
        await stage.until("a batch is kept, and not committed", lambda: _is_frozen(archive))
        assert len(await _progress(stage)) > 1, "the batch is of several partitions"
        assert await stage.log.committed(ARCHIVE, _TOPICS) == {}

        archive.kill()  # and it is started again
        archive.kills.clear()
        account = await stage.settled()

        assert account.dead == account.lost == 0
        assert await _told(stage) >= account.kept + account.variants
        await stage.until("all that is kept is committed", lambda: _is_committed(stage))


async def test_a_batch_that_fails_is_tried_again_in_all_its_partitions(
    open_log_stage: OpenStage, fault_seed: int
) -> None:
    async with open_log_stage(StageOptions(seed=fault_seed, processes=_APART, overrides=_OPTIONS)) as stage:
        await _backlog(stage)
        freeze = Kill(step="records.keep", moment="before", signal="SIGSTOP")
        archive = await stage.employ("archive", ("archive",), kills=[freeze])
        await stage.until("a batch is in hand", lambda: _is_frozen(archive))
        await stage.servers.refuse("records")
        archive.wake()
        await stage.until("it can't be kept", lambda: _waits(archive))
        assert await stage.log.committed(ARCHIVE, _TOPICS) == {}
        await stage.play()
        await stage.servers.accept("records")
        account = await stage.settled()

        assert account.dead == account.lost == 0
        assert archive.starts == 1
        # One that was passed over would have stopped at the hole, and gone on from where the store stands.
        assert "delivery.stopped" not in archive.log.read_text()


async def _backlog(stage: Stage) -> None:
    """Everything but the archive worker works, until several partitions have something for it."""
    await stage.start()
    await stage.play()
    await stage.until("the provider is done", lambda: _delivered(stage))
    waiting = {place for place, one in (await stage.log.bounds(_TOPICS)).items() if one.end > one.first}
    assert len(waiting) > 1


async def _delivered(stage: Stage) -> bool:
    return stage.provider.pending == 0


async def _is_frozen(actor: Actor) -> bool:
    return actor.frozen


async def _progress(stage: Stage) -> Mapping[TopicPartition, int]:
    return {place: one.next for place, one in (await stage.store.progress(stage.log.identity, _TOPICS)).items()}


async def _is_committed(stage: Stage) -> bool:
    return await stage.log.committed(ARCHIVE, _TOPICS) == await _progress(stage)


async def _told(stage: Stage) -> int:
    """How many `kept` notices there are."""
    bounds = await stage.log.bounds([topic_name(tenant, Stream.KEPT) for tenant in TENANTS])
    return sum(one.end - one.first for one in bounds.values())


async def _waits(archive: Actor) -> bool:
    _, health = await archive.health("workers")
    return isinstance(health, dict) and health.get("archive", {}).get("waiting_for") == "store_unavailable"
