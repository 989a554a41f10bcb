"""Media: nearest deadline first, never forgotten, and a reason for every part that is lost."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from broker.core.erasure import LossReason
from broker.core.errors import (
    BlobExistsError,
    BlobsUnavailableError,
    DigestMismatchError,
    ForbiddenHostError,
    ObjectGoneError,
    ProviderRefusedError,
    ProviderThrottledError,
    ProviderUnavailableError,
    TooLargeError,
)
from broker.core.identity import variant_id
from broker.core.model import FetchTask, MediaObject
from broker.core.ports import BlobInfo, Capabilities, OpenPart
from broker.core.registry import Account, Registry
from broker.core.topics import TopicPartition
from broker.core.values import replace
from broker.workers.media import Agenda, Fetching
from broker.workers.media.agenda import Job
from broker.workers.witness import Witness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = TopicPartition("custody.acme.fetches.v1", 0)
PHOTO = b"\xff\xd8photo"
TASK = FetchTask(
    tenant="acme",
    account="1",
    provider="p",
    conversation="cnv_a",
    record_id="rec_a",
    fingerprint=bytes(32),
    target_id="tgt_a",
    media=MediaObject(part=1, object_id="m", sha256=hashlib.sha256(PHOTO).hexdigest()),
    mime="image/jpeg",
    fetch_by=NOW + timedelta(days=7),
    received_at=NOW,
)


def job(offset: int, *, hours: float = 1) -> Job:
    return Job(place=PLACE, offset=offset, task=replace(TASK, fetch_by=NOW + timedelta(hours=hours)))


def test_the_nearest_deadline_comes_first() -> None:
    agenda = Agenda()
    for offset, hours in enumerate((5, 1, 3)):
        agenda.add(job(offset, hours=hours))
    taken = [found.offset for _ in range(3) if (found := agenda.take(NOW)) is not None]
    assert taken == [1, 2, 0]
    assert agenda.take(NOW) is None


def test_an_offset_waits_for_the_lowest_job_not_done() -> None:
    agenda = Agenda()
    jobs = [job(offset) for offset in range(4)]
    for one in jobs:
        agenda.add(one)
    agenda.done(jobs[1])
    agenda.done(jobs[3])
    assert agenda.positions() == {PLACE: 0}
    agenda.done(jobs[0])
    assert agenda.positions() == {PLACE: 2}
    agenda.done(jobs[2])
    assert agenda.positions() == {PLACE: 4}


def test_what_is_read_is_told_apart_from_what_is_done() -> None:
    agenda = Agenda()
    for offset in range(3):
        agenda.add(job(offset))
    agenda.read_past(PLACE, 3)
    assert (agenda.positions(), agenda.read_to) == ({PLACE: 0}, {PLACE: 4})


def test_a_failed_job_waits_and_does_not_hold_up_others() -> None:
    agenda = Agenda()
    agenda.add(job(0))
    agenda.add(job(1, hours=2))
    first = agenda.take(NOW)
    assert first is not None
    agenda.wait(first, NOW + timedelta(minutes=1))
    second = agenda.take(NOW)
    assert second is not None
    assert second.offset == 1
    assert agenda.take(NOW) is None
    assert agenda.take(NOW + timedelta(minutes=2)) == first


def test_a_job_far_behind_is_a_straggler() -> None:
    agenda = Agenda()
    agenda.add(job(0))
    agenda.add(job(900))
    first = agenda.take(NOW)
    assert first is not None
    agenda.wait(first, NOW + timedelta(minutes=1))
    assert agenda.stragglers(1_000) == []
    assert agenda.stragglers(500) == [first]
    agenda.done(first)
    assert agenda.stragglers(500) == []


def test_partitions_of_another_worker_are_forgotten() -> None:
    agenda = Agenda()
    agenda.add(job(0))
    agenda.keep_only(frozenset())
    assert agenda.take(NOW) is None
    assert agenda.positions() == {}
    assert len(agenda) == 0


class Blobs:
    """Blobs in a dict."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    async def put(
        self, place: str, chunks: AsyncIterator[bytes], *, max_bytes: int, sha256: bytes | None = None
    ) -> BlobInfo:
        if place in self.held:
            raise BlobExistsError(place)
        data = b"".join([chunk async for chunk in chunks])
        assert len(data) <= max_bytes
        if sha256 is not None and hashlib.sha256(data).digest() != sha256:
            raise DigestMismatchError(place)
        self.held[place] = data
        return self._info(place)

    async def stat(self, place: str) -> BlobInfo | None:
        return self._info(place) if place in self.held else None

    def _info(self, place: str) -> BlobInfo:
        data = self.held[place]
        return BlobInfo(place=place, size=len(data), sha256=hashlib.sha256(data).digest(), version="1")

    async def open(self, place: str) -> AsyncIterator[bytes]:
        yield self.held[place]

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


class Provider:
    """A connector whose every part is the same photo."""

    name = "p"
    capabilities = Capabilities(
        erasable=frozenset({"media"}),
        media_life={},
        text_life={},
        min_age=timedelta(),
        media_hosts=(),
        max_part_bytes=100,
        rate_scope="account",
        read_back="",
    )

    def __init__(self) -> None:
        self.opened = 0
        self.announced: tuple[bytes, ...] = ()

    @asynccontextmanager
    async def open_part(self, account: Account, task: FetchTask) -> AsyncIterator[OpenPart]:
        assert (account.id, task.account) == ("1", "1")
        self.opened += 1

        async def chunks() -> AsyncIterator[bytes]:
            yield PHOTO

        yield OpenPart(mime="image/jpeg", size=None, sha256=self.announced, chunks=chunks())


def fetching(provider: Provider, blobs: Blobs) -> Fetching:
    account = Account(name="a", tenant="acme", app="x", provider="p", id="1", group="g", token="t")
    registry = Registry(tenants={}, apps={}, accounts={"a": account})
    return Fetching(
        connectors={"p": provider},  # type: ignore[dict-item]
        registry=lambda: registry,
        blobs=blobs,
        witness=Witness(clock=lambda: NOW),
        entropy=bytes,
    )


async def test_a_part_is_kept_under_its_record() -> None:
    one = fetching(Provider(), Blobs())
    outcome = await one.fetch(TASK)
    assert (outcome.state, outcome.place, outcome.size) == ("kept", "acme/rec_a/1", len(PHOTO))
    assert one.witness.vouches("p", "1")


async def test_a_part_kept_before_is_not_fetched_again() -> None:
    provider, blobs = Provider(), Blobs()
    first = await fetching(provider, blobs).fetch(TASK)
    assert await fetching(provider, blobs).fetch(TASK) == first
    assert provider.opened == 1


async def test_a_variant_with_other_bytes_gets_a_place_of_its_own() -> None:
    provider, blobs = Provider(), Blobs()
    blobs.held["acme/rec_a/1"] = b"other bytes"
    outcome = await fetching(provider, blobs).fetch(TASK)
    assert outcome.place == f"acme/{variant_id('rec_a', bytes(32))}/1"
    assert blobs.held["acme/rec_a/1"] == b"other bytes"


async def test_two_announced_digests_that_differ_are_a_mismatch() -> None:
    provider = Provider()
    provider.announced = (bytes(32), b"1" * 32)
    with pytest.raises(DigestMismatchError):
        await fetching(provider, Blobs()).fetch(TASK)


async def test_an_account_no_longer_registered_waits_for_its_credential() -> None:
    with pytest.raises(ProviderRefusedError, match="not registered"):
        await fetching(Provider(), Blobs()).fetch(replace(TASK, account="2"))


LATE = TASK.fetch_by + timedelta(minutes=6)
GRACE = timedelta(minutes=5)


@pytest.mark.parametrize(
    ("error", "attempt", "now", "reason"),
    [
        (TooLargeError("x"), 1, NOW, LossReason.TOO_LARGE),
        (ForbiddenHostError("x"), 500, NOW, None),
        (DigestMismatchError("x"), 4, NOW, None),
        (DigestMismatchError("x"), 5, NOW, LossReason.DIGEST_MISMATCH),
        (ObjectGoneError("x"), 500, NOW, None),
        (ObjectGoneError("x"), 8, LATE, LossReason.EXPIRED),
        (ProviderUnavailableError("x"), 500, NOW, None),
        (ProviderThrottledError("x"), 500, NOW, None),
        (ProviderUnavailableError("x"), 7, LATE, None),
        (ProviderUnavailableError("x"), 8, LATE, LossReason.EXPIRED),
        (ProviderRefusedError("x"), 500, NOW, None),
        (ProviderRefusedError("x"), 500, LATE, LossReason.EXPIRED),
        (BlobsUnavailableError("x"), 500, LATE, None),
        (ValueError("bug"), 500, NOW, None),
        (ValueError("bug"), 8, LATE, LossReason.EXPIRED),
    ],
)
def test_what_an_error_means_for_a_part(
    error: Exception, attempt: int, now: datetime, reason: LossReason | None
) -> None:
    verdict = fetching(Provider(), Blobs()).judge(TASK, error, attempt=attempt, now=now, grace=GRACE)
    assert verdict.reason is reason
    assert not verdict.witnessed


async def test_gone_is_certain_once_the_credential_worked_on_another_object() -> None:
    one = fetching(Provider(), Blobs())
    one.witness.saw("p", "1")
    verdict = one.judge(TASK, ObjectGoneError("x"), attempt=1, now=NOW, grace=GRACE)
    assert verdict.reason is LossReason.GONE
    assert verdict.witnessed
