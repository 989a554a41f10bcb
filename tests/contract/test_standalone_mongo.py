"""A MongoDB without a replica set: refused, unless it is allowed; then nothing is lost, and nothing is erased."""

from __future__ import annotations

import asyncio
import importlib.metadata
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from backends.embedded.ports import HOST
from backends.mongo import erasures
from backends.mongo.connections import MongoOptions
from backends.mongo.embedded.kind import DISTRIBUTION, is_installed
from backends.mongo.migrate import migrate
from backends.mongo.records import MongoRecords
from broker.core.account import draw
from broker.core.errors import SettingsError, StoreUnavailableError
from broker.demo.ports import free_ports
from tests.contract.record_store_targets import LEASE
from tests.mongo_stores import DRIVERS, emptied
from tests.records import LOG, TENANT, Desk, target_of
from tests.servers import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from backends.mongo.drivers import DriverName


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standalone() -> AsyncIterator[str]:
    """The URI of a database on a server of its own."""
    if not is_installed():
        unavailable("A MongoDB without a replica set: install custody[embedded-mongo]")
    program = str(importlib.metadata.distribution(DISTRIBUTION).locate_file("fiftyone/db/bin/mongod"))
    folder = Path(tempfile.mkdtemp(prefix="custody-tests-", dir="/var/tmp"))
    (port,) = free_ports(1)
    server = await asyncio.create_subprocess_exec(
        *(program, "--dbpath", str(folder), "--bind_ip", HOST, "--port", str(port), "--nounixsocket", "--quiet"),
        *("--wiredTigerCacheSizeGB", "0.25"),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        uri = f"mongodb://{HOST}:{port}/custody"
        await migrate(uri, "custody")
        yield uri
    finally:
        server.kill()
        await server.wait()
        shutil.rmtree(folder)


@pytest_asyncio.fixture(params=DRIVERS)
async def store(standalone: str, seed: int, request: pytest.FixtureRequest) -> AsyncIterator[MongoRecords]:
    driver: DriverName = request.param
    options = MongoOptions(driver=driver, allow_standalone=True)
    found = await MongoRecords.open(standalone, clock=Desk(seed).time, options=options)
    yield found
    await found.close()
    await emptied(standalone)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_it_is_refused_unless_it_is_allowed(standalone: str, seed: int, driver: DriverName) -> None:
    with pytest.raises(SettingsError, match="allow_standalone"):
        await MongoRecords.open(standalone, clock=Desk(seed).time, options=MongoOptions(driver=driver))


async def test_records_are_kept_and_counted_and_a_replay_answers_as_before(store: MongoRecords, seed: int) -> None:
    desk = Desk(seed)
    photo, text = desk.image(), desk.text()
    batch = [desk.arrive(one) for one in (photo, text, text)]
    answers = await store.keep(batch)
    assert [one.outcome for one in answers] == ["stored", "stored", "duplicate"]
    assert [one.outcome for one in await store.keep(batch)] == ["stored", "stored", "replayed"]
    tally = await store.tally(TENANT, LOG, buckets=True)
    assert (tally.kept, sum(one.duplicates for one in tally.buckets), tally.parts) == (2, 1, 1)


async def test_nothing_is_claimed_for_erasure(store: MongoRecords, seed: int) -> None:
    desk = Desk(seed)
    photo = desk.image()
    await store.keep([desk.arrive(photo), desk.arrive(desk.kept(photo))])
    assert [one.state async for one in store.targets(TENANT)] == ["due"]
    assert list(await store.claim_due(now=desk.time.now, limit=10, lease=LEASE)) == []


async def test_a_keep_that_broke_off_is_kept_again_as_if_it_never_was(
    store: MongoRecords, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(seed)
    photo = desk.image()
    batch = [desk.arrive(one) for one in (desk.text(), photo, desk.kept(photo))]

    async def broken(*_: object) -> None:
        raise StoreUnavailableError("as if the process had ended here")

    with monkeypatch.context() as patched:
        patched.setattr(erasures, "settle_targets", broken)
        with pytest.raises(StoreUnavailableError):
            await store.keep(batch)
    assert await store.progress(LOG, [f"custody.{TENANT}.messages.v1"]) == {}
    assert [one.outcome for one in await store.keep(batch)] == ["stored"] * 3
    account = draw(await store.tally(TENANT, LOG), desk.bounds())
    assert (account.accepted, account.kept, account.duplicates, account.parts_kept) == (2, 2, 0, 1)
    assert {one.target_id: one.state async for one in store.targets(TENANT)} == {target_of(photo): "due"}


async def test_the_same_record_in_two_partitions_at_once_is_kept_once(store: MongoRecords, seed: int) -> None:
    desk = Desk(seed)
    for _ in range(10):
        text = desk.text()
        left, right = desk.arrive(text), desk.arrive(text, partition=1)
        answers = await asyncio.gather(store.keep([left]), store.keep([right]))
        assert sorted(one.outcome for some in answers for one in some) == ["duplicate", "stored"]
    assert (await store.tally(TENANT, LOG)).kept == 10
