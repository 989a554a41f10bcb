"""Many small parts and few huge ones, into each blob store, by the media worker and by its floor in turns."""

from __future__ import annotations

import hashlib
import random
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from backends.s3.embedded import EmbeddedS3
from benchmarks.children import Child, outcome, started
from benchmarks.digests import NotTheSameError
from benchmarks.figures import Comparison, Result, Sample
from benchmarks.logs import SEED, LogKind, empty_log, fill, told
from benchmarks.machine import Spent
from benchmarks.media.orders import CONCURRENCY, BlobsAt, FloorOrders, WorkerOrders
from benchmarks.provider import ProviderOrders, address, check_asked, content, object_ids
from benchmarks.rounds import interleaved
from benchmarks.s3 import fresh_bucket, s3_server
from benchmarks.stage import Kind, Stage
from benchmarks.traffic import Sealing, documents
from broker.core.model import PartState
from broker.core.topics import Stream
from connectors.simulator.payloads.contents import MediaRef

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from benchmarks.rounds import Tell
    from broker.core.ports import NewEntry

STORES = ("Postgres", "S3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """So many parts, each of so many bytes."""

    parts: int
    part_bytes: int


SIZES = (Size(parts=1000, part_bytes=60_000), Size(parts=4, part_bytes=64 * 2**20))
"""Many small ones, and few huge ones."""


async def measure(stage: Stage, *, runs: int, tell: Tell, sizes: Sequence[Size] = SIZES) -> Result:
    """Fetches parts of each size in every run, from a log on Postgres into each store.

    The worker reads messages, appends tasks and results, checks digests and holds a bounded piece of each part; the
    floor holds each whole.
    """
    comparisons: list[Comparison] = []
    async with s3_server() as server:
        for size in sizes:
            async with started("provider", ProviderOrders(media_bytes=size.part_bytes)) as provider:
                turns = _Turns(
                    stage=stage, server=server, size=size, provider=provider, port=await provider.answer(int)
                )
                comparisons += [await turns.compared(store, runs=runs, tell=tell) for store in STORES]
    return Result(
        name="media",
        parameters={
            "sizes": [f"{one.parts} x {one.part_bytes}" for one in sizes],
            "runs": runs,
            "at_once": CONCURRENCY,
        },
        comparisons=comparisons,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turns:
    """Each turn has an empty log and an empty store."""

    stage: Stage
    server: EmbeddedS3
    size: Size
    provider: Child
    port: int

    async def compared(self, store: str, *, runs: int, tell: Tell) -> Comparison:
        title = (
            f"media: {self.size.parts:,} parts of {self.size.part_bytes:,} bytes into {store}, {CONCURRENCY} at once"
        )
        sides = {"worker": partial(self._worker, store), "aiohttp": partial(self._floor, store)}
        return Comparison(title=title, subject="worker", samples=await interleaved(title, sides, runs=runs, tell=tell))

    async def _worker(self, store: str) -> Sample:
        async with empty_log(self.stage, LogKind.POSTGRES) as log, self._blobs(store) as blobs:
            await fill(log, self._messages())
            orders = WorkerOrders(log=log, port=self.port, blobs=blobs, parts=self.size.parts)
            spent = await outcome("media.worker", orders, Spent)
            results = await told(log, Stream.PARTS)
        if results != {PartState.KEPT: self.size.parts}:
            raise NotTheSameError(f"results of {self.size.parts} parts: {dict(results)}")
        return await self._sample(spent)

    async def _floor(self, store: str) -> Sample:
        async with self._blobs(store) as blobs:
            orders = FloorOrders(port=self.port, blobs=blobs, parts=self.size.parts)
            return await self._sample(await outcome("media.floor", orders, Spent))

    def _messages(self) -> list[Sequence[NewEntry]]:
        digest = hashlib.sha256(content(self.size.part_bytes)).digest()
        media = (
            MediaRef(media_id=one, mime="application/pdf", sha256=digest, url=f"{address(self.port)}/{one}")
            for one in object_ids(self.size.parts)
        )
        sealing = Sealing(random.Random(SEED).randbytes)
        return [sealing.entries(body) for body in documents(media, seed=SEED)]

    @asynccontextmanager
    async def _blobs(self, store: str) -> AsyncGenerator[BlobsAt]:
        async with AsyncExitStack() as exits:
            if store == "S3":
                yield BlobsAt(s3=await fresh_bucket(self.server))
            else:
                yield BlobsAt(dsn=(await exits.enter_async_context(self.stage.fresh(Kind.BLOBS))).dsn)

    async def _sample(self, spent: Spent) -> Sample:
        """What it took, once it is sure that every object was downloaded, and once."""
        await check_asked(self.provider, self.size.parts)
        return Sample.of(spent, {"parts": self.size.parts}, data_bytes=self.size.parts * self.size.part_bytes)
