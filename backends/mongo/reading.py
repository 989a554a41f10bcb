"""What is read back of a tenant, page by page: no cursor is held open while whoever asked works on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.mongo.documents import key_id, of_tenant, row_of
from backends.mongo.standings import standings
from broker.core import rows
from broker.core.ports import KeptPart, UnkeptPart
from broker.core.rows import PART_COLUMNS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from backends.mongo.drivers import Document
    from backends.mongo.work import Work
    from broker.core.ports import OpenGap, Progress
    from broker.core.standing import Standing
    from broker.core.topics import TopicPartition

UNSEEN = "outbound_unseen"
RECORD_COLUMNS = (
    *("record_id", "keep_seq", "kept_at", "variant_of", "fingerprint", "envelope", "arrival", "record_digest"),
    *("arrival_digest", "encoding", "key_id", "content"),
)
SEALED_COLUMNS = ("tenant", "record_id", "envelope", "arrival", "content", "record_digest", "arrival_digest")
TARGET_COLUMNS = ("target_id", "account", "object_kind", "object_id", "state", "expires_at")
_GAPS_AT_ONCE = 1000


async def pages(
    opened: Callable[[], Awaitable[Work]],
    name: str,
    tenant: str,
    columns: Sequence[str],
    *,
    at_once: int,
    more: Mapping[str, object] | None = None,
) -> AsyncIterator[list[Document]]:
    """A tenant's documents in the order of their ids, so many at once, each page asked for by itself."""
    ids = of_tenant(tenant)
    while True:
        found = await (await opened()).find(
            name, {"_id": ids, **(more or {})}, ("_id", *columns), order=("_id",), limit=at_once
        )
        if found:
            yield found
        if len(found) < at_once:
            return
        ids = {"$gt": found[-1]["_id"], "$lt": ids["$lt"]}


async def part_standings(
    opened: Callable[[], Awaitable[Work]], tenant: str, *, at_once: int
) -> AsyncIterator[Standing]:
    """Every part of a tenant, each with the result that counts."""
    async for page in pages(opened, "parts", tenant, PART_COLUMNS, at_once=at_once):
        for one in await standings(await opened(), tenant, page):
            yield one


def kept_part(one: Standing) -> KeptPart | None:
    """A part whose bytes are kept, and since when both its record and its bytes are."""
    if one.ending is None or not one.is_kept:
        return None
    return KeptPart(
        record_id=one.record_id,
        number=one.number,
        target_id=one.target_id,
        place=one.ending.place or "",
        size=one.ending.size or 0,
        kept_at=max(one.named_at, one.ending.kept_at),
        shared=one.ending.shared,
        sha256=one.ending.sha256 or b"",
    )


def unkept_part(one: Standing) -> UnkeptPart | None:
    """A part whose bytes are not kept: given up, and why, or open."""
    if one.is_kept:
        return None
    ending = one.ending
    return UnkeptPart(
        record_id=one.record_id,
        number=one.number,
        target_id=one.target_id,
        media_kind=one.media_kind,
        state="open" if ending is None else ending.state,
        reason="" if ending is None else ending.reason or "",
        since=one.named_at if ending is None else ending.kept_at,
    )


async def gaps(work: Work, tenant: str) -> AsyncGenerator[OpenGap]:
    """Every open gap of a tenant by cause, oldest first. Unseen messages come in the place that their cause has."""
    wanted = {"tenant": tenant, "state": "open"}
    order = ("cause", "received_at", "record_id")
    for causes in ({"$lt": UNSEEN}, None, {"$gte": UNSEEN}):
        told = unseen(work, tenant) if causes is None else _told(work, {**wanted, "cause": causes}, order)
        async for gap in told:
            yield gap


async def _told(work: Work, wanted: Document, order: Sequence[str]) -> AsyncIterator[OpenGap]:
    """Gaps that a record tells of, with the stream of it; one whose record was taken away is left out."""
    columns = ("tenant", "record_id", "cause", "account", "received_at")
    async for page in _paged(work.stream("gaps", wanted, columns, order=order, at_once=_GAPS_AT_ONCE)):
        streams = await _streams(work, page)
        for gap in page:
            if gap["record_id"] in streams:
                yield rows.open_gap(row_of(gap) | {"stream": streams[gap["record_id"]]})


async def unseen(work: Work, tenant: str) -> AsyncIterator[OpenGap]:
    """Messages that a status spoke of and nobody kept."""
    columns = ("tenant", "record_id", "account", "received_at")
    documents = work.stream("unseen", {"tenant": tenant}, columns, order=("received_at", "record_id"), at_once=1000)
    async for page in _paged(documents):
        there = await _streams(work, page)
        for one in page:
            if one["record_id"] not in there:
                yield rows.open_gap(row_of(one) | {"cause": UNSEEN, "stream": "statuses"})


async def _streams(work: Work, page: Sequence[Document]) -> dict[str, str]:
    """The streams of the records that documents of one tenant name, where they are there."""
    ids = [key_id((one["tenant"], one["record_id"])) for one in page]
    return {one["record_id"]: one["stream"] for one in await work.by_id("records", ids, ("record_id", "stream"))}


async def _paged(documents: AsyncIterator[Document]) -> AsyncIterator[list[Document]]:
    page: list[Document] = []
    async for one in documents:
        page.append(one)
        if len(page) == _GAPS_AT_ONCE:
            yield page
            page = []
    if page:
        yield page


async def progress(work: Work, log: str, topics: Sequence[str]) -> Mapping[TopicPartition, Progress]:
    """How far the store is in a log's topics."""
    return rows.progress_of(await work.find("progress", {"log": log, "topic": {"$in": list(topics)}}))


async def other_logs(work: Work, log: str, topics: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """Other logs that these topics were kept from, and that none has taken the place of."""
    wanted = {"log": {"$ne": log}, "topic": {"$in": list(topics)}, "successor": None, "next_offset": {"$ne": None}}
    found: dict[str, set[str]] = {}
    for row in await work.find("progress", wanted, ("topic", "log")):
        found.setdefault(row["topic"], set()).add(row["log"])
    return {topic: frozenset(logs) for topic, logs in found.items()}
