"""What a stage does while a server under it is away: it waits, with a sign of life now and then, and loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.topics import ARCHIVED_STREAMS, Stream, topic_name
from broker.workers.archive import GROUP as ARCHIVE
from broker.workers.media.fetcher import GROUP as FETCH
from broker.workers.media.scan import GROUP as MEDIA
from tests.stage.home import TENANTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broker.core.topics import TopicPartition
    from tests.stage.stage import Stage

_BEATS = 50
"""While an outage lasts, a loop gives one sign of life for each wait: so many of the longest it has been refused."""


async def pauses_for_long(stage: Stage, *, beats: int = _BEATS) -> None:
    """Plays on; meanwhile no offset moves, nothing is set aside, and whatever can be fetched is."""
    await stage.play()
    await stage.until("the archive waits", lambda: waits_for_the_store(stage))
    committed = await _committed(stage)
    before = await beats_of(stage)
    await stage.until("all media are fetched", lambda: _all_are_fetched(stage))
    await stage.until("it was refused very often", lambda: has_beaten(stage, before + beats))
    archive = await archive_health(stage)
    assert (archive["waiting_for"], archive["stopped"]) == ("store_unavailable", {})
    assert (await stage.actors["archive"].health("live"))[0] == 200
    assert await _committed(stage) == committed
    assert await stage.dead_letters() == 0


async def waits_for_the_store(stage: Stage) -> bool:
    return (await archive_health(stage)).get("waiting_for") == "store_unavailable"


async def only_parts_are_open(stage: Stage) -> bool:
    """Whether everything is kept but for parts, and every record that names one waits for it."""
    problems = await stage.pending()
    return bool(problems) and all("open" in problem for problem in problems)


async def has_delivered(stage: Stage, goal: int) -> bool:
    return stage.delivered() >= goal


async def has_kept(stage: Stage) -> bool:
    return (await stage.account()).kept > 0


async def settles_without_a_dead_letter(stage: Stage) -> None:
    """The account closes; an outage is nobody's poison, and the archive lived through it."""
    account = await stage.settled()
    assert account.dead == 0
    assert await stage.dead_letters() == 0
    assert stage.actors["archive"].starts == 1


async def beats_of(stage: Stage) -> int:
    return int(str((await archive_health(stage)).get("beats", 0)))


async def has_beaten(stage: Stage, beats: int) -> bool:
    return await beats_of(stage) >= beats


async def archive_health(stage: Stage) -> dict[str, object]:
    _, health = await stage.actors["archive"].health("workers")
    found = health.get("archive", {}) if isinstance(health, dict) else {}
    return found if isinstance(found, dict) else {}


async def _committed(stage: Stage) -> Mapping[TopicPartition, int]:
    """The archive group's offsets, as the log has them."""
    return await stage.log.committed(ARCHIVE, _topics(*ARCHIVED_STREAMS))


async def _all_are_fetched(stage: Stage) -> bool:
    """Whether the media worker has looked at every message, and has fetched whatever it found."""
    if stage.provider.pending:
        return False
    return await _has_read(stage, MEDIA, _topics(Stream.MESSAGES)) and await _has_read(
        stage, FETCH, _topics(Stream.FETCHES)
    )


async def _has_read(stage: Stage, group: str, topics: Sequence[str]) -> bool:
    committed = await stage.log.committed(group, topics)
    return all(committed.get(place, 0) >= one.end for place, one in (await stage.log.bounds(topics)).items())


def _topics(*streams: Stream) -> Sequence[str]:
    return [topic_name(tenant, stream) for tenant in TENANTS for stream in streams]
