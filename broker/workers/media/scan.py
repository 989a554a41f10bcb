"""From `messages` to `fetches`: one durable task for each part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from msgspec import UNSET

from broker.core import codec, parcels
from broker.core.errors import MalformedEntryError
from broker.core.model import FetchTask, MediaObject
from broker.core.ports import EventLog, NewEntry, OpenBlobs
from broker.core.seal import event_headers
from broker.core.topics import Stream, topic_name
from broker.core.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from broker.core.model import Record
    from broker.core.ports import LogEntry

GROUP = "media"
_URL_CHARACTERS = 4_096
_DIGEST_CHARACTERS = 256
"""Longer ones are none that anybody would follow, or could read."""
logger = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class MediaScan:
    """Turns the parts of messages into tasks."""

    log: EventLog
    blobs: OpenBlobs = parcels.no_blobs

    async def handle(self, batch: Sequence[LogEntry]) -> None:
        """Appends a task for every part that the batch names."""
        tasks: list[NewEntry] = []
        for entry in batch:
            record = codec.decode_record(entry.value)
            if record.envelope.parts:
                tasks += map(task_entry, tasks_of(await parcels.unpacked(record, self.blobs)))
        if tasks:
            await self.log.append(tasks)

    async def set_aside(self, entry: LogEntry, error: Exception, attempts: int) -> None:
        """An entry that is no record has no parts either: the archive worker sets it aside and says so."""
        logger.warning(
            "no parts read",
            action="media.scan",
            topic=entry.topic,
            partition=entry.partition,
            offset=entry.offset,
            attempts=attempts,
            error_type=type(error).__name__,
        )


def tasks_of(record: Record) -> Iterator[FetchTask]:
    """The tasks for a record's parts."""
    envelope = record.envelope
    if not envelope.parts:
        return
    if record.fingerprint is UNSET:
        message = f"record {envelope.record_id} names parts and has no fingerprint"
        raise MalformedEntryError(message)
    media = {one.part: one for one in codec.item_content(record.content).media}
    targets = {one.part: one.target_id for one in envelope.objects}
    deadlines = {one.part: one.fetch_by for one in record.arrival.deadlines}
    for part in envelope.parts:
        yield FetchTask(
            tenant=envelope.tenant,
            account=envelope.account,
            provider=envelope.provider,
            conversation=envelope.conversation,
            record_id=envelope.record_id,
            fingerprint=record.fingerprint,
            target_id=targets[part.number],
            media=_needed(media[part.number]),
            mime=part.mime,
            fetch_by=deadlines[part.number],
            received_at=record.arrival.received_at,
        )


def _needed(media: MediaObject) -> MediaObject:
    """What a fetch needs to know: its task fits any log, whatever came in the webhook."""
    url, sha256 = media.url, media.sha256
    return replace(
        media,
        file_name=UNSET,
        url=UNSET if url is UNSET or len(url) > _URL_CHARACTERS else url,
        sha256=UNSET if sha256 is UNSET or len(sha256) > _DIGEST_CHARACTERS else sha256,
    )


def task_entry(task: FetchTask) -> NewEntry:
    """The log entry of a task."""
    part = f"{task.record_id}/{task.media.part}"
    return NewEntry(
        topic=topic_name(task.tenant, Stream.FETCHES),
        key=task.target_id.encode(),
        headers=event_headers(
            event_id=f"{part}/{task.attempt}",
            event_type="custody.fetch.v1",
            source=f"/{task.provider}/{task.account}",
            subject=part,
            time=task.received_at,
        ),
        value=codec.canonical(task),
    )
