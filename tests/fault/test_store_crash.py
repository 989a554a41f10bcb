"""Postgres killed under load, at random: nothing is lost, nothing doubled, and the account closes."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from backends.postgres.blobs import PostgresBlobs
from backends.postgres.records import PostgresRecords
from broker.core.account import draw
from broker.core.errors import BlobExistsError, BlobsUnavailableError, StoreUnavailableError
from tests.contract.blob_store import pieces, some_bytes
from tests.records import LOG, TENANT, Desk, where
from tests.servers import SharedPostgres, private_postgres
from tests.stores import as_writer, store_database

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from backends.postgres.embedded import EmbeddedPostgres
    from broker.core.model import Record
    from broker.core.ports import Arrived
    from broker.core.topics import TopicPartition

PARTITIONS = 3
MESSAGES = 400
KILLS = 3


def _traffic(desk: Desk) -> tuple[dict[TopicPartition, list[Arrived]], list[Record]]:
    """Entries by partition: photos and their results, statuses, duplicates within and across partitions, variants."""
    entries, photos = [], []
    for number in range(MESSAGES):
        partition = desk.random.randrange(PARTITIONS)
        record = desk.image(native=f"wamid.{number}") if number % 4 == 0 else desk.text(native=f"wamid.{number}")
        entries += [desk.arrive(record, partition=partition), desk.arrive(desk.status(record), partition=partition)]
        if number % 4 == 0:
            photos.append(record)
            entries.append(desk.arrive(desk.kept(record), partition=desk.random.randrange(PARTITIONS)))
        if number % 5 == 0:
            entries.append(desk.arrive(record, partition=desk.random.randrange(PARTITIONS)))
        if number % 25 == 1:
            entries.append(desk.arrive(desk.text("another", native=f"wamid.{number}"), partition=partition))
        if number % 40 == 2:
            entries.append(desk.die(desk.text(), partition=partition))
    by_partition: dict[TopicPartition, list[Arrived]] = {}
    for entry in entries:
        by_partition.setdefault(where(entry)[0], []).append(entry)
    return by_partition, photos


class _Killer:
    """Kills the server whenever so much work is done: seeded, and never too late."""

    def __init__(self, server: EmbeddedPostgres, dice: random.Random, *, total: int) -> None:
        self._server = server
        self._dice = dice
        self._marks = sorted(dice.sample(range(1, total * 4 // 5), KILLS))
        self._done = 0
        self._moved = asyncio.Event()
        self._over = False

    def count(self, amount: int) -> None:
        """So much more work is done."""
        self._done += amount
        self._moved.set()

    async def beside(self, *workers: Coroutine[None, None, None]) -> None:
        """Kills and restarts at each mark, a moment into whatever is under way then, until the work is done."""
        killing = asyncio.create_task(self._kill())
        try:
            await asyncio.gather(*workers)
        finally:
            self._over = True
            self._moved.set()
            await killing

    async def _kill(self) -> None:
        for mark in self._marks:
            while self._done < mark and not self._over:
                self._moved.clear()
                await self._moved.wait()
            await asyncio.sleep(self._dice.uniform(0, 0.01))
            await self._server.kill()
            await self._server.restart()


async def _archive(store: PostgresRecords, entries: Sequence[Arrived], dice: random.Random, killer: _Killer) -> None:
    """Keeps a partition as a worker would: after a failure it goes on at the store's progress, or before it."""
    place, _ = where(entries[0])
    at = 0
    while at < len(entries):
        batch = entries[at : at + dice.randint(1, 60)]
        try:
            await store.keep(batch)
        except StoreUnavailableError:
            at = await _resume(store, place, dice)
        else:
            at += len(batch)
            killer.count(len(batch))


async def _resume(store: PostgresRecords, place: TopicPartition, dice: random.Random) -> int:
    while True:
        try:
            progress = (await store.progress(LOG, [place.topic])).get(place)
        except StoreUnavailableError:
            await asyncio.sleep(0.02)
        else:
            return max(0, (progress.next if progress else 0) - dice.randrange(4))


async def test_records_survive_a_server_killed_under_load(fault_seed: int) -> None:
    dice, desk = random.Random(fault_seed), Desk(fault_seed)
    traffic, photos = _traffic(desk)
    async with private_postgres() as server, store_database(SharedPostgres(dsn=server.dsn())) as dsn:
        store = await PostgresRecords.open(as_writer(dsn), clock=desk.time)
        killer = _Killer(server, dice, total=sum(map(len, traffic.values())))
        workers = [
            _archive(store, entries, random.Random(f"{fault_seed}/{place}"), killer)
            for place, entries in traffic.items()
        ]
        await killer.beside(*workers)
        tally = await store.tally(TENANT, LOG, buckets=True)
        account = draw(tally, desk.bounds())
        assert [one.split()[0] for one in account.problems()] == ["open"]
        assert (account.kept, account.unprocessed) == (2 * MESSAGES, 0)
        assert (account.duplicates, account.variants, account.dead) == (MESSAGES // 5, MESSAGES // 25, MESSAGES // 40)
        assert (account.parts, account.parts_kept) == (len(photos), len(photos))
        assert dict(tally.target_states) == {"due": len(photos)}
        kept = [one async for one in store.records(TENANT)]
        sequences: dict[tuple[str, int], list[int]] = {}
        for one in kept:
            position = one.record.arrival.position
            sequences.setdefault((position.topic, position.partition), []).append(one.keep_seq)  # type: ignore[union-attr]
        assert all(sorted(found) == list(range(1, len(found) + 1)) for found in sequences.values())
        await store.close()


async def test_blobs_survive_a_server_killed_under_load(fault_seed: int) -> None:
    dice, count = random.Random(fault_seed), 80
    datas = [some_bytes(number % 4 * 1_048_576 + 100) for number in range(count)]

    async def write(blobs: PostgresBlobs, number: int, killer: _Killer) -> None:
        while True:
            try:
                await blobs.put(f"{TENANT}/rec/{number}", pieces(datas[number], 65_536), max_bytes=1 << 30)
            except BlobsUnavailableError:
                await asyncio.sleep(0.02)
            except BlobExistsError:
                break  # it was there before the answer was cut off
            else:
                break
        killer.count(1)

    async with private_postgres() as server, store_database(SharedPostgres(dsn=server.dsn())) as dsn:
        blobs = await PostgresBlobs.connect(as_writer(dsn))
        killer = _Killer(server, dice, total=count)
        await killer.beside(*(write(blobs, number, killer) for number in range(count)))
        for number, data in enumerate(datas):
            assert b"".join([one async for one in blobs.open(f"{TENANT}/rec/{number}")]) == data
        await blobs.close()
