"""Waking idle readers: at once within the process, by notification across processes.

A notification's commit takes a lock of the whole server, so it is never part of an append: one task sends what has
gathered, on its own connection, at most every few milliseconds. Readers poll behind it: a lost one only costs time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from broker.core.errors import CustodyError
from broker.log.postgres.connections import end
from broker.log.postgres.errors import DRIVER_ERRORS
from broker.log.postgres.queries import queries

if TYPE_CHECKING:
    import asyncpg

    from broker.log.postgres.connections import Connection, Connections
    from broker.log.postgres.options import PostgresLogOptions

ENTRIES_CHANNEL = "custody_log_entries"
"""Payload: ids of partitions that have new entries, with commas between them; `*` for too many to name."""
GROUPS_CHANNEL = "custody_log_groups"
"""Payload: the id of a group whose members or claims changed; `*` for new topics."""

_EVERYTHING = "*"
_LONGEST_PAYLOAD = 7900  # Postgres takes less than 8000 bytes


class Sleeper(Protocol):
    """Who is to be woken."""

    def entries_came(self, partition_ids: frozenset[int] | None) -> None:
        """New entries lie in these partitions; None: look everywhere."""
        ...

    def group_changed(self, group_id: int | None) -> None:
        """Members or claims of this group changed; None: of any."""
        ...


class Wakeups:
    """Passes on that something happened, from here to here and between processes."""

    def __init__(self, connections: Connections, *, options: PostgresLogOptions) -> None:
        self._connections = connections
        self._options = options
        self._sleepers: set[Sleeper] = set()
        self._partition_ids: set[int] = set()
        self._groups: set[str] = set()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listening = False

    def add(self, sleeper: Sleeper) -> None:
        """Wakes this one too, from now on."""
        self._sleepers.add(sleeper)
        self._start()

    def remove(self, sleeper: Sleeper) -> None:
        """Wakes this one no more."""
        self._sleepers.discard(sleeper)

    def appended(self, partition_ids: frozenset[int]) -> None:
        """Entries were committed to these partitions."""
        self._tell_entries(partition_ids)
        self._partition_ids |= partition_ids
        self._start()

    def regrouped(self, group_id: int | None) -> None:
        """Members or claims of a group were changed; None: topics were made."""
        self._tell_groups(group_id)
        self._groups.add(_EVERYTHING if group_id is None else str(group_id))
        self._start()

    async def close(self) -> None:
        """Sends nothing more, and listens no longer."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _start(self) -> None:
        self._work.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="log-wakeups")

    async def _run(self) -> None:
        while True:
            try:
                await self._serve()
            except (*DRIVER_ERRORS, CustodyError):
                # Readers poll meanwhile; whoever reads or appends meets the outage, and names it.
                await asyncio.sleep(self._options.poll_seconds)

    async def _serve(self) -> None:
        # A notification need not survive a crash: nobody waits for the disk.
        connection = await self._connections.dedicate(synchronous_commit="off")
        try:
            connection.add_termination_listener(lambda *_: self._work.set())
            self._listening = False
            while not connection.is_closed():
                await self._listen(connection)
                await self._send(connection)
                await asyncio.sleep(self._options.notify_seconds)
                await self._work.wait()
        finally:
            await end(connection)

    async def _listen(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """Begins to listen once there is someone to wake, and wakes them for what came unheard."""
        if self._listening or not self._sleepers:
            return
        await connection.add_listener(ENTRIES_CHANNEL, self._heard)
        await connection.add_listener(GROUPS_CHANNEL, self._heard)
        self._listening = True
        self._tell_entries(None)
        self._tell_groups(None)

    async def _send(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._work.clear()
        ids, self._partition_ids = self._partition_ids, set()
        groups, self._groups = self._groups, set()
        if ids:
            payload = ",".join(map(str, ids))
            payload = payload if len(payload) <= _LONGEST_PAYLOAD else _EVERYTHING
            await connection.execute(queries()["notify"], ENTRIES_CHANNEL, payload)
        for group in groups:
            await connection.execute(queries()["notify"], GROUPS_CHANNEL, group)

    def _heard(self, connection: Connection, sender: int, channel: str, payload: object) -> None:
        if sender == connection.get_server_pid():
            return  # told at once, when it happened
        said = str(payload)
        if channel == ENTRIES_CHANNEL:
            self._tell_entries(None if said == _EVERYTHING else frozenset(map(int, said.split(","))))
        else:
            self._tell_groups(None if said == _EVERYTHING else int(said))

    def _tell_entries(self, partition_ids: frozenset[int] | None) -> None:
        for sleeper in self._sleepers:
            sleeper.entries_came(partition_ids)

    def _tell_groups(self, group_id: int | None) -> None:
        for sleeper in self._sleepers:
            sleeper.group_changed(group_id)
