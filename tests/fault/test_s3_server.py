"""An S3 server killed, stopped and frozen in the midst of uploads: what it acknowledged stays, once and whole."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from backends.s3.leftovers import sweep_uploads
from backends.s3.options import LEAST_PART_BYTES, MIB
from broker.core.errors import BlobExistsError, BlobsUnavailableError
from broker.core.ports import BlobInfo, BlobStore
from tests.contract.blob_store import PLENTY
from tests.contract.test_blobs_s3 import opened, uploads, versions
from tests.s3_servers import bare_client, fresh_bucket, private_s3, shared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from backends.s3.embedded import EmbeddedS3
    from backends.s3.options import S3Options

WRITERS = 4
BLOBS = 24
STRIKES = ("kill", "freeze", "stop", "kill")
PATIENCE_SECONDS = 300
"""What hangs for ever fails."""


@dataclass
class Uploads:
    """Who puts what, how far it is, and what was acknowledged."""

    blobs: BlobStore
    data: dict[str, bytes]
    acknowledged: dict[str, BlobInfo] = field(default_factory=dict)
    pieces: int = 0
    outages: int = 0
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def write(self, places: Sequence[str]) -> None:
        """Each, again and again until it is acknowledged, as a worker does."""
        for place in places:
            while place not in self.acknowledged:
                try:
                    self.acknowledged[place] = await self._put(place)
                except BlobsUnavailableError:
                    await self._tell(outages=1)
                    await asyncio.sleep(0.1)

    async def until(self, *, pieces: int = 0, outages: int = 0) -> None:
        async with self.moved:
            await self.moved.wait_for(lambda: self.pieces >= pieces and self.outages >= outages)

    async def _put(self, place: str) -> BlobInfo:
        try:
            return await self.blobs.put(place, self._source(self.data[place]), max_bytes=PLENTY)
        except BlobExistsError:  # an attempt of before, of which nobody was told
            found = await self.blobs.stat(place)
            assert found is not None
            return found

    async def _source(self, data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), MIB):
            await self._tell(pieces=1)
            yield data[start : start + MIB]

    async def _tell(self, *, pieces: int = 0, outages: int = 0) -> None:
        async with self.moved:
            self.pieces += pieces
            self.outages += outages
            self.moved.notify_all()


async def test_what_a_server_acknowledged_outlives_its_kills_and_silences(fault_seed: int) -> None:
    dice = random.Random(fault_seed)
    data = {f"acme/rec_{number}/1": _document(dice, number) for number in range(BLOBS)}
    async with private_s3() as server, asyncio.timeout(PATIENCE_SECONDS):
        calm = await fresh_bucket(shared(server))
        async with opened(replace(calm, connect_timeout_seconds=1, read_timeout_seconds=1)) as bench:
            work = Uploads(bench.blobs, data)
            places = list(data)
            async with asyncio.TaskGroup() as group:
                group.create_task(_strike(server, work, dice))
                for writer in range(WRITERS):
                    group.create_task(work.write(places[writer::WRITERS]))
        await server.kill()
        await server.restart()
        await _refuse_loss(calm, work)
        await _refuse_leftovers(calm)


def _document(dice: random.Random, number: int) -> bytes:
    """Every third goes up in parts."""
    most = 3 * LEAST_PART_BYTES if number % 3 == 0 else 100_000
    return dice.randbytes(dice.randrange(2 * most // 3, most))


async def _strike(server: EmbeddedS3, work: Uploads, dice: random.Random) -> None:
    """At seeded moments of the uploads; it is over once somebody noticed."""
    total = sum(-(-len(one) // MIB) for one in work.data.values())
    moments = sorted(dice.sample(range(1, total * 2 // 3), len(STRIKES)))
    for moment, what in zip(moments, dice.sample(STRIKES, len(STRIKES)), strict=True):
        await work.until(pieces=moment)
        await asyncio.sleep(dice.uniform(0, 0.05))
        noticed = work.outages + 1
        if what == "freeze":
            server.freeze()
            await work.until(outages=noticed)
            server.thaw()
        else:
            await (server.kill() if what == "kill" else server.stop())
            await work.until(outages=noticed)
            await server.restart()


async def _refuse_loss(options: S3Options, work: Uploads) -> None:
    assert work.acknowledged.keys() == work.data.keys()
    assert work.outages >= len(STRIKES)
    async with opened(options) as bench:
        for place, info in work.acknowledged.items():
            assert await bench.blobs.stat(place) == info
            assert b"".join([chunk async for chunk in bench.blobs.open(place)]) == work.data[place]
            assert await versions(options, place) == [info.version]


async def _refuse_leftovers(options: S3Options) -> None:
    """What nobody could let go of while the server was away is gone with the next day's sweep."""
    async with bare_client(options) as client:
        for home in options.homes():
            await sweep_uploads(client, home, datetime.now(UTC) + timedelta(days=1, seconds=5))
    assert await uploads(options) == []
