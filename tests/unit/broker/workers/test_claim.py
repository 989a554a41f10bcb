"""The claim worker: slices of bounded size, nothing left behind by a pass that fails, nothing parsed for nothing."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest

from backends.memory.blobs import MemoryBlobs
from broker.core import codec, parcels
from broker.core.errors import BlobsUnavailableError, LogUnavailableError, RetryableError, TooLargeError
from broker.core.identity import TenantKey
from broker.core.intake import Directory, Reason, SignedDelivery, take_in, take_raw
from broker.core.model import Record, UnclaimedBody
from broker.core.ports import Bounds, LogEntry, NewEntry
from broker.core.registry import Account, App, Registry, Tenant
from broker.core.topics import TopicPartition, unclaimed_topic
from broker.core.values import replace
from broker.workers.claim import Claim
from connectors.whatsapp_cloud.capabilities import CAPABILITIES
from connectors.whatsapp_cloud.parse import parse
from tests.scripted_log import ScriptedSubscription

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broker.core.item import Change
    from broker.core.ports import BlobStore, Connector, EventLog

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
PLACE = TopicPartition(unclaimed_topic().name, 0)
APP = App(name="acme", provider="whatsapp_cloud", tenant="acme", app_id="1", secrets=(b"s",), verify_token="v")


def account(name: str) -> Account:
    return Account(
        name=name, tenant="acme", app="acme", provider="whatsapp_cloud", id=f"pn-{name}", group="waba", token="t"
    )


def registry(*accounts: str) -> Registry:
    return Registry(
        tenants={"acme": Tenant(name="acme", zone="UTC", key=TenantKey(bytes(32)))},
        apps={"acme": APP},
        accounts={name: account(name) for name in accounts},
    )


@dataclass(slots=True)
class Log:
    """A log in memory. The append numbered `fails_at` fails, once."""

    bodies: list[LogEntry] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    entry_bytes: int = 1_000_000
    fails_at: int = -1
    refuses_bodies: bool = False

    async def append(self, entries: Sequence[NewEntry]) -> None:
        if self.refuses_bodies and any(one.topic == PLACE.topic for one in entries):
            raise TooLargeError("one of these")
        if len(self.sizes) == self.fails_at:
            self.fails_at = -1
            raise LogUnavailableError("down")
        self.sizes.append(len(entries))
        for one in entries:
            if one.topic == PLACE.topic:
                self.bodies.append(self._read(one))
            else:
                self.records.append(codec.decode_record(one.value))

    async def bounds(self, _: Sequence[str]) -> Mapping[TopicPartition, Bounds]:
        return {PLACE: Bounds(first=0, end=len(self.bodies))}

    def _read(self, one: NewEntry) -> LogEntry:
        return LogEntry(
            topic=one.topic,
            partition=0,
            offset=len(self.bodies),
            key=one.key,
            headers=one.headers,
            value=one.value,
            appended_at=AT,
        )

    @property
    def ids(self) -> Counter[str]:
        return Counter(one.envelope.record_id for one in self.records)


@dataclass(slots=True)
class Cloud:
    """The connector, and how often it parsed."""

    parsed: int = 0
    capabilities = CAPABILITIES

    def parse(self, body: bytes) -> Sequence[Change]:
        self.parsed += 1
        return parse(body)


class Bench:
    """A claim worker over a log and blobs in memory."""

    def __init__(self, *accounts: str, slice_items: int = 100) -> None:
        self.log, self.blobs, self.cloud = Log(), MemoryBlobs(), Cloud()
        self.known = registry(*accounts)
        self.trouble: RetryableError | None = None
        counter = itertools.count()
        self.entropy = lambda size: hashlib.shake_256(str(next(counter)).encode()).digest(size)
        self.subscription = ScriptedSubscription(self.log.bodies)
        self.worker = Claim(
            log=cast("EventLog", self.log),
            subscription=self.subscription,
            connectors={"whatsapp_cloud": cast("Connector", self.cloud)},
            registry=lambda: self.known,
            entropy=self.entropy,
            blobs=self.opened,
            stop=asyncio.Event(),
            slice_items=slice_items,
        )

    async def opened(self) -> BlobStore:
        if self.trouble is not None:
            raise self.trouble
        return self.blobs

    @property
    def packer(self) -> parcels.Packer:
        return parcels.Packer(entry_bytes=self.log.entry_bytes, entropy=self.entropy)

    def delivery(self, name: str = "one") -> SignedDelivery:
        return SignedDelivery(app=APP, id=f"dlv_{name}", received_at=AT, connector="chat/1")

    async def keep_raw(self, body: bytes, name: str = "one") -> None:
        """What the edge does with too many items."""
        intake = take_raw(body, self.delivery(name), packer=self.packer, reason=Reason.TOO_MANY)
        await parcels.stow(intake.parcels, self.blobs)
        await self.log.append(intake.entries)
        self.log.sizes.clear()

    def at_once(self, body: bytes, name: str = "one") -> Counter[str]:
        """The ids that sealing it at once would have given."""
        intake = take_in(
            parse(body),
            self.delivery(name),
            directory=Directory(self.known),
            capabilities=CAPABILITIES,
            packer=self.packer,
        )
        records = [one for one in intake.entries if one.topic != PLACE.topic]
        return Counter(codec.decode_record(one.value).envelope.record_id for one in records)

    async def look(self) -> int:
        return await self.worker.claim_all(Directory(self.known))

    @property
    def left(self) -> list[UnclaimedBody]:
        """What is not claimed yet."""
        first = self.subscription.committed.get(PLACE, 0)
        return [codec.decode(one.value, UnclaimedBody) for one in self.log.bodies[first:]]


def body(*counts: tuple[str, int]) -> bytes:
    """A body with so many messages for each account, every third of them without an id."""
    changes = [
        {
            "field": "messages",
            "value": {
                "metadata": {"display_phone_number": "15550783881", "phone_number_id": f"pn-{name}"},
                "messages": [{"x": n} if n % 3 == 0 else {"id": f"wamid.{name}{n}", "type": "x"} for n in range(count)],
            },
        }
        for name, count in counts
    ]
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "waba", "changes": changes}]}).encode()


async def test_what_nobody_owns_stays_and_has_been_read() -> None:
    bench = Bench()
    for name in ("one", "two"):
        await bench.keep_raw(body(("claims", 3)), name)
    assert bench.worker.reached() == {}
    assert await bench.look() == 0
    assert (bench.worker.reached(), bench.subscription.committed) == ({PLACE: 2}, {})
    assert await bench.look() == 0
    assert bench.worker.reached() == {PLACE: 2}


async def test_a_body_of_many_items_is_claimed_in_slices() -> None:
    bench, many = Bench("claims"), body(("claims", 5_000))
    await bench.keep_raw(many)
    assert await bench.look() == 1
    assert bench.log.ids == bench.at_once(many)
    assert len(bench.log.ids) == 5_000
    assert max(bench.log.sizes) < 200
    assert bench.subscription.committed == {PLACE: 1}


async def test_a_partition_that_lost_bodies_stops_and_the_others_are_claimed() -> None:
    bench = Bench("claims")
    await bench.keep_raw(body(("claims", 3)))
    lost = TopicPartition(PLACE.topic, 1)
    bench.subscription.lost = frozenset({lost})
    assert await bench.look() == 1
    assert bench.worker.pulse.stopped == {lost: "log_changed"}
    assert bench.subscription.committed == {PLACE: 1}


async def test_a_body_that_cannot_be_put_back_leaves_everything_where_it_is() -> None:
    bench = Bench("claims")
    await bench.keep_raw(body(("claims", 3)))
    await bench.keep_raw(body(("nobody", 3)), "two")
    bench.log.refuses_bodies = True
    running = asyncio.create_task(bench.worker.run())
    async with asyncio.timeout(20):
        while bench.worker.pulse.waiting_for is None and not running.done():  # noqa: ASYNC110 - a condition
            await asyncio.sleep(0.001)
    bench.worker.stop.set()
    await running
    assert bench.worker.pulse.waiting_for == "too_large"
    assert (bench.subscription.committed, bench.log.records) == ({}, [])


@pytest.mark.parametrize("fails_at", range(4))
async def test_dying_between_two_slices_costs_a_repeat_and_nothing_else(fails_at: int) -> None:
    bench, many = Bench("claims"), body(("claims", 350))
    await bench.keep_raw(many)
    bench.log.fails_at = fails_at
    with pytest.raises(LogUnavailableError):
        await bench.look()
    assert bench.subscription.committed == {}
    assert await bench.look() == 1
    assert set(bench.log.ids) == set(bench.at_once(many))
    assert max(bench.log.ids.values()) <= 2


async def test_a_pass_that_fails_leaves_nothing_behind() -> None:
    bench = Bench("claims")
    bodies = {f"{number}": body(("claims", 3)) for number in range(6)}
    for name, one in bodies.items():
        await bench.keep_raw(one, name)
    bench.subscription.commit_fault = LogUnavailableError("down")
    with pytest.raises(LogUnavailableError):
        await bench.look()
    bench.log.fails_at = len(bench.log.sizes) + 3
    with pytest.raises(LogUnavailableError):
        await bench.look()
    assert await bench.look() == 6
    expected = {record_id for name, one in bodies.items() for record_id in bench.at_once(one, name)}
    assert set(bench.log.ids) == expected
    assert bench.left == []


async def test_bodies_that_lie_apart_wait_for_the_blob_store_in_their_order() -> None:
    bench = Bench("claims")
    bench.log.entry_bytes = 8_192
    large = body(("claims", 500))
    await bench.keep_raw(body(("claims", 3)), "small")
    await bench.keep_raw(large, "large")
    assert len(bench.blobs.data) == 1
    bench.trouble = BlobsUnavailableError("down")
    for _ in range(2):
        with pytest.raises(BlobsUnavailableError):
            await bench.look()
    assert (bench.log.records, bench.subscription.committed) == ([], {})
    bench.trouble = None
    assert await bench.look() == 2
    assert set(bench.log.ids) >= set(bench.at_once(large, "large"))
    assert bench.left == []


async def test_a_body_whose_bytes_are_gone_stays_and_holds_up_nobody() -> None:
    bench = Bench("claims")
    bench.log.entry_bytes = 8_192
    await bench.keep_raw(body(("claims", 500)), "large")
    bench.blobs.data.clear()
    await bench.keep_raw(body(("claims", 3)), "small")
    assert await bench.look() == 1
    assert [one.delivery.id for one in bench.left] == ["dlv_large"]


async def test_what_nobody_owns_beside_what_somebody_does_stays_by_itself() -> None:
    bench, mixed = Bench("claims"), body(("claims", 300), ("late", 40))
    await bench.keep_raw(mixed)
    assert await bench.look() == 1
    assert bench.log.ids == bench.at_once(mixed)
    assert [one.account for one in bench.left] == ["pn-late"]
    assert await bench.look() == 0
    bench.known = registry("claims", "late")
    assert await bench.look() == 1
    assert bench.log.ids == bench.at_once(mixed)
    assert bench.left == []


async def test_what_has_no_owner_is_not_parsed_again_and_again() -> None:
    bench = Bench("claims")
    await bench.keep_raw(body(("late", 40)))
    (entry,) = bench.log.bodies
    named = replace(codec.decode(entry.value, UnclaimedBody), account="pn-late")
    bench.log.bodies.append(replace(entry, offset=1, value=codec.canonical(named)))
    for _ in range(3):
        await bench.worker._look()
    assert bench.cloud.parsed == 1
    bench.known = registry("claims", "late")
    await bench.worker._look()
    assert len(bench.log.ids) == 40
    assert bench.left == []
