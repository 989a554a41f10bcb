"""A store that is down, frozen, or refuses the login: everybody is told to wait, and then it goes on by itself."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from backends.postgres.blobs import PostgresBlobs
from backends.postgres.connections import PostgresOptions
from backends.postgres.records import PostgresRecords
from backends.postgres.roles import ensure_writer
from backends.postgres.sql import RECORDS
from broker.core.errors import BlobsUnavailableError, SettingsError, StoreUnavailableError
from tests.contract.blob_store import pieces
from tests.records import LOG, TENANT, Desk
from tests.servers import SharedPostgres, as_role, private_postgres
from tests.stores import as_writer, execute, store_database, until_kept

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

IMPATIENT = PostgresOptions(connections=3, connect_timeout_seconds=1, command_timeout_seconds=1)
CUT_OFF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'custody-%'"


async def _first(records: AsyncIterator[object]) -> object:
    async for one in records:
        return one
    return None


def _calls(store: PostgresRecords, desk: Desk) -> list[Callable[[], Awaitable[object]]]:
    """Every call of a record store."""
    entry = desk.arrive(desk.text())
    return [
        lambda: store.keep([entry]),
        lambda: store.keep_act(desk.act()),
        lambda: store.progress(LOG, [f"custody.{TENANT}.messages.v1"]),
        lambda: store.claim_due(now=desk.time.now, limit=1, lease=desk.time.now - desk.time.now),
        lambda: store.record(TENANT, "rec"),
        lambda: store.conversation(TENANT, "cnv"),
        lambda: _first(store.records(TENANT)),
        lambda: _first(store.kept_parts(TENANT)),
        lambda: _first(store.targets(TENANT)),
        lambda: store.unblock(TENANT, ["tgt"]),
        store.dead_letters,
        lambda: store.tally(TENANT, LOG, buckets=True),
        store.ping,
    ]


async def test_every_call_says_that_the_store_is_down_and_works_again_after(fault_seed: int) -> None:
    desk = Desk(fault_seed)
    async with private_postgres() as server, store_database(SharedPostgres(dsn=server.dsn())) as dsn:
        store = await PostgresRecords.open(as_writer(dsn), clock=desk.time)
        blobs = await PostgresBlobs.connect(as_writer(dsn))
        await store.keep([desk.arrive(desk.text())])
        await blobs.put(f"{TENANT}/a/1", pieces(b"kept before"), max_bytes=100)
        calls = _calls(store, desk)
        await server.stop()
        for call in calls:
            with pytest.raises(StoreUnavailableError):
                await call()
        for blob_call in (blobs.ping(), blobs.stat("acme/a/1"), blobs.put("acme/a/2", pieces(b"x"), max_bytes=9)):
            with pytest.raises(BlobsUnavailableError):
                await blob_call
        await server.restart()
        for call in calls:
            await call()
        assert (await store.tally(TENANT, LOG)).kept == 2
        assert b"".join([one async for one in blobs.open(f"{TENANT}/a/1")]) == b"kept before"
        await store.close()
        await blobs.close()


async def test_a_server_that_answers_nothing_is_given_up_on(fault_seed: int) -> None:
    desk = Desk(fault_seed)
    async with private_postgres() as server, store_database(SharedPostgres(dsn=server.dsn())) as dsn:
        store = await PostgresRecords.open(as_writer(dsn), clock=desk.time, options=IMPATIENT)
        entry = desk.arrive(desk.text())
        await store.ping()
        frozen = _backends(server.process_id)
        for process in frozen:
            os.kill(process, signal.SIGSTOP)
        with pytest.raises(StoreUnavailableError):
            await store.keep([entry])
        for process in frozen:
            os.kill(process, signal.SIGCONT)
        assert await until_kept(store, entry) == ["stored"]
        await store.close()


async def test_a_renewed_password_is_found_without_a_restart(fault_seed: int) -> None:
    desk = Desk(fault_seed)
    async with private_postgres() as server, store_database(SharedPostgres(dsn=server.dsn())) as dsn:
        await ensure_writer(dsn, "rotating", "the-first", schema=RECORDS)
        password: str | None = "the-first"

        def address() -> str:
            if password is None:
                raise SettingsError(["the file can't be read"])
            return as_role(dsn, "rotating", password)

        store = await PostgresRecords.open(address, clock=desk.time)
        await store.keep([desk.arrive(desk.text())])
        await ensure_writer(dsn, "rotating", "the-second", schema=RECORDS)
        await execute(dsn, CUT_OFF)
        entry = desk.arrive(desk.text())
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                await store.keep([entry])
        password = None
        with pytest.raises(StoreUnavailableError):
            await store.keep([entry])
        password = "the-second"
        assert [one.outcome for one in await store.keep([entry])] == ["stored"]
        await store.close()


def _backends(postmaster: int) -> list[int]:
    """A server's first process and those it started."""
    import psutil  # noqa: PLC0415 - only where a server is frozen

    return [postmaster, *(one.pid for one in psutil.Process(postmaster).children(recursive=True))]
