"""Items over the log's limit at the edge: their content into the blob store first, and 200 only after both."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
import structlog

from backends.memory.blobs import MemoryBlobs
from broker.core import identity, parcels
from broker.core.codec import BLOB_ENCODING, ITEM_ENCODING, item_content
from broker.core.errors import BlobsUnavailableError, LogUnavailableError, SettingsError, TooLargeError
from broker.core.parcels import HEADROOM_BYTES
from connectors.whatsapp_cloud.webhook import EdgeLimits
from tests.unit.connectors.whatsapp_cloud.test_webhook import HELLO, Log, body_of, messages, serving, sign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import BlobStore, NewEntry

LIMIT = 8_192
LIMITS = EdgeLimits(append_seconds=0.5, retry_after_seconds=7)
LONG = body_of(messages("one", "two" + "long" * 5_000, "three"))


def small_log() -> Log:
    return Log(entry_bytes=LIMIT)


@dataclass(slots=True)
class Blobs:
    """A blob store that may be in trouble, and how often it was opened."""

    store: MemoryBlobs = field(default_factory=MemoryBlobs)
    trouble: Exception | None = None
    seconds: float = 0.0
    openings: int = 0

    async def opened(self) -> BlobStore:
        self.openings += 1
        await asyncio.sleep(self.seconds)
        if self.trouble is not None:
            raise self.trouble
        return self.store


async def test_a_large_item_lies_apart_and_its_neighbours_do_not() -> None:
    log, blobs = small_log(), Blobs()
    async with serving(LIMITS, log, blobs.opened) as edge:
        assert await edge.deliver(LONG) == 200
        assert edge.outcomes == {"accepted": 1}
    found = [one for one in log.records if one.envelope.kind == "message"]
    assert [one.content.encoding for one in found] == [ITEM_ENCODING, BLOB_ENCODING, ITEM_ENCODING]
    assert all(one.size <= LIMIT - HEADROOM_BYTES for one in log.entries)
    whole = await parcels.unpacked(found[1], blobs.opened)
    content = item_content(whole.content)
    assert whole.content.encoding == ITEM_ENCODING
    assert b"longlong" in bytes(content.item or b"")
    digest = identity.content_digest(salt=content.salt, data=whole.content.data)
    assert whole.envelope.content_digest == digest
    assert len(blobs.store.data) == 1


async def test_no_blob_store_is_opened_for_what_fits() -> None:
    log, blobs = small_log(), Blobs()
    async with serving(LIMITS, log, blobs.opened) as edge:
        assert await edge.deliver(HELLO) == 200
    assert blobs.openings == 0


@pytest.mark.parametrize(
    "trouble", [BlobsUnavailableError("down"), SettingsError(["canary"]), RuntimeError("canary"), TimeoutError()]
)
async def test_without_a_blob_store_the_provider_is_asked_to_come_again(trouble: Exception) -> None:
    log, blobs = small_log(), Blobs(trouble=trouble)
    async with serving(LIMITS, log, blobs.opened) as edge:
        with structlog.testing.capture_logs() as lines:
            response = await edge.post(LONG, x_hub_signature_256=sign(LONG))
        assert (response.status, response.headers["Retry-After"]) == (503, "7")
        assert (log.entries, blobs.store.data) == ([], {})
        assert "canary" not in repr(lines)
        assert {one["action"] for one in lines} <= {"webhook.stow"}
        assert set(edge.outcomes) <= {"blobs_down", "blobs_slow"}
        assert await edge.deliver(HELLO) == 200
        blobs.trouble = None
        assert await edge.deliver(LONG) == 200
    assert len([one for one in log.records if one.envelope.kind == "message"]) == 1 + 3


async def test_an_edge_that_was_given_no_blob_store_says_so() -> None:
    log = small_log()
    async with serving(LIMITS, log) as edge:
        with structlog.testing.capture_logs() as lines:
            assert await edge.deliver(LONG) == 503
        assert [(one["action"], one["code"]) for one in lines] == [("webhook.stow", "blobs_unavailable")]
        assert edge.outcomes == {"blobs_down": 1}


async def test_a_blob_store_that_takes_too_long_is_503() -> None:
    log, blobs = small_log(), Blobs(seconds=30.0)
    async with serving(replace(LIMITS, append_seconds=0.1), log, blobs.opened) as edge:
        assert await edge.deliver(LONG) == 503
        assert edge.outcomes == {"blobs_slow": 1}
    assert log.entries == []


class Stingy(Log):
    """A log that takes less than it says, as brokers do whose setting was lowered; `taken` is how much."""

    taken = 6_000

    async def append(self, entries: Sequence[NewEntry]) -> None:
        if any(one.size > self.taken for one in entries):
            raise TooLargeError("the brokers take smaller entries")
        await super().append(entries)


async def test_a_log_that_takes_less_than_it_says_gets_less_at_once() -> None:
    log, blobs = Stingy(), Blobs()
    async with serving(LIMITS, log, blobs.opened) as edge:
        with structlog.testing.capture_logs() as lines:
            assert await edge.deliver(LONG) == 200
        assert await edge.deliver(HELLO) == 200
        assert edge.outcomes == {"accepted": 2}
    assert [(one["action"], one["code"]) for one in lines] == [("webhook.append", "too_large")], "an operator is told"
    assert max(one.size for one in log.entries) <= log.taken
    assert len([one for one in log.records if one.envelope.kind == "message"]) == 3 + 1
    assert len(blobs.store.data) == 1


async def test_a_log_that_takes_next_to_nothing_is_503() -> None:
    log, blobs = Stingy(), Blobs()
    log.taken = 100
    async with serving(LIMITS, log, blobs.opened) as edge:
        assert await edge.deliver(LONG) == 503
        assert edge.outcomes == {"log_small": 1}
    assert log.entries == []


async def test_while_the_log_is_down_nothing_is_put_into_the_blob_store() -> None:
    log, blobs = small_log(), Blobs()
    log.trouble = LogUnavailableError("down")
    async with serving(LIMITS, log, blobs.opened) as edge:
        assert await edge.deliver(LONG) == 503
        assert edge.outcomes == {"log_down": 1}
    assert blobs.store.data == {}


async def test_a_large_item_delivered_twice_lies_at_two_places() -> None:
    log, blobs = small_log(), Blobs()
    async with serving(LIMITS, log, blobs.opened) as edge:
        assert [await edge.deliver(LONG) for _ in range(2)] == [200, 200]
    assert len(blobs.store.data) == 2
    apart = [one for one in log.records if one.content.encoding == BLOB_ENCODING]
    assert len({one.envelope.record_id for one in apart}) == 1


async def test_a_large_body_that_nobody_owns_lies_apart_too() -> None:
    log, blobs = small_log(), Blobs()
    body = body_of(messages("long" * 5_000, account_id="pn-nobody"), messages("mine"))
    async with serving(LIMITS, log, blobs.opened) as edge:
        assert await edge.deliver(body) == 200
    (kept,) = log.unclaimed
    assert b"longlong" in await parcels.body_of(kept, blobs.opened)
    assert {one.envelope.kind for one in log.records} == {"message", "identity"}


async def test_keys_headers_and_logs_hold_no_content_of_large_items() -> None:
    log, blobs = small_log(), Blobs()
    body = body_of(messages("canary" * 5_000), messages("canary" * 5_000, account_id="27820001111"))
    async with serving(LIMITS, log, blobs.opened) as edge:
        with structlog.testing.capture_logs() as lines:
            assert await edge.deliver(body) == 200
        shown = repr((edge.counts.seen, lines, log.entries, log.records, log.unclaimed, list(blobs.store.data)))
    assert not [word for word in ("canary", "27821234567", "27820001111", "ZA.1", "wamid") if word in shown]
    assert not [one for one in log.records if b"canarycanary" in one.content.data]
