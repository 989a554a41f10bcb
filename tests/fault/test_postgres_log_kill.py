"""The server killed under load: what an append promised is there, what it did not promise is whole or absent."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backends.postgres.embedded import ServerOptions
from broker.core.errors import LogUnavailableError
from broker.core.ports import LogEntry, NewEntry
from broker.core.topics import TopicPartition, TopicSpec
from broker.log.postgres import PostgresLog, PostgresLogOptions
from tests.servers import private_postgres

if TYPE_CHECKING:
    from backends.postgres.embedded import EmbeddedPostgres

TOPIC = "custody.acme.messages.v1"
PARTITIONS = 3
OPTIONS = PostgresLogOptions(lease_seconds=2, poll_seconds=0.1)
KILLS = 3


@dataclass
class Account:
    """What became of every append, by its name, with the number of its entries."""

    kept: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    stopped: bool = False
    grew: asyncio.Event = field(default_factory=asyncio.Event)

    async def grow(self, count: int) -> None:
        """Returns once so many more appends have succeeded."""
        goal = len(self.kept) + count
        while len(self.kept) < goal:
            self.grew.clear()
            await self.grew.wait()


def batch(name: str, count: int) -> list[NewEntry]:
    return [
        NewEntry(
            topic=TOPIC, key=f"{name}-{number % 7}".encode(), headers=(), value=f"{name} {number}".encode().ljust(300)
        )
        for number in range(count)
    ]


async def write(log: PostgresLog, writer: str, chance: random.Random, account: Account) -> None:
    number = 0
    while not account.stopped:
        number += 1
        name, count = f"{writer}/{number}", chance.choice([1, 1, 5, 40, 200])
        try:
            await log.append(batch(name, count))
        except LogUnavailableError:
            account.unknown[name] = count
            await asyncio.sleep(0.02)
        else:
            account.kept[name] = count
            account.grew.set()


async def follow(log: PostgresLog, account: Account, seen: list[LogEntry]) -> None:
    """A reader that commits what it has seen, through every kill; ends once it has everything."""
    subscription = None
    while True:
        try:
            subscription = subscription or await log.subscribe("readers", ["messages"])
            found = await subscription.fetch(max_entries=500, wait_seconds=0.1)
            seen += found
            if found:
                await subscription.commit({one.place: one.offset + 1 for one in found})
            elif account.stopped and len(seen) >= await end_of(log):
                return
        except LogUnavailableError:
            await asyncio.sleep(0.05)


async def end_of(log: PostgresLog) -> int:
    return sum(at.end for at in (await log.bounds([TOPIC])).values())


async def kill_now_and_then(server: EmbeddedPostgres, chance: random.Random, account: Account) -> None:
    for _ in range(KILLS):
        await account.grow(chance.randint(10, 120))
        await server.kill()
        await server.restart()
    await account.grow(20)
    account.stopped = True


async def everything(log: PostgresLog) -> list[LogEntry]:
    return [
        one
        for number in range(PARTITIONS)
        for one in await log.read(TopicPartition(TOPIC, number), 0, max_entries=1_000_000)
    ]


async def test_every_append_that_returned_is_there_and_every_other_is_whole_or_absent(fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    account, seen = Account(), list[LogEntry]()
    async with private_postgres(ServerOptions()) as server:
        dsn = await server.create_database("log")
        await PostgresLog.migrate(dsn)
        logs = [await PostgresLog.open(dsn, options=OPTIONS) for _ in range(3)]
        await logs[0].create_topics([TopicSpec(name=TOPIC, partitions=PARTITIONS, retention_seconds=None)])
        async with asyncio.timeout(240), asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(write(logs[number % 2], f"w{number}", random.Random(chance.random()), account))
            group.create_task(follow(logs[2], account, seen))
            group.create_task(kill_now_and_then(server, chance, account))
        found = await everything(logs[0])
        for log in logs:
            await log.close()

    assert account.unknown, "no kill met an append"
    assert_closes(account, found)
    assert Counter((one.place, one.offset) for one in seen).keys() == {(one.place, one.offset) for one in found}


def assert_closes(account: Account, found: list[LogEntry]) -> None:
    """Each partition without a hole, each append in full and in order, or not at all."""
    offsets: dict[int, list[int]] = defaultdict(list)
    appends: dict[str, dict[bytes, list[int]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        offsets[one.partition].append(one.offset)
        name, number = one.value.decode().split()
        appends[name][one.key].append(int(number))
    assert all(held == list(range(len(held))) for held in offsets.values())
    counts = {name: sum(map(len, keys.values())) for name, keys in appends.items()}
    assert {name: counts.get(name) for name in account.kept} == account.kept
    assert {
        name: count for name, count in counts.items() if name not in account.kept
    }.items() <= account.unknown.items()
    assert all(numbers == sorted(set(numbers)) for keys in appends.values() for numbers in keys.values())
