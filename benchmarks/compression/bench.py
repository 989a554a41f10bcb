"""Each way of packing has its turn at the same entries, on a broker of its own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks import tenant
from benchmarks.children import outcome
from benchmarks.compression.orders import CompressionOrders
from benchmarks.figures import Comparison, Result, Sample
from benchmarks.logs import LogAt, LogKind, prepared
from benchmarks.machine import Spent
from benchmarks.rounds import interleaved
from broker.log.kafka.local import KafkaCluster
from broker.settings import LogSettings

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.rounds import Tell

WAYS = ("none", "gzip", "lz4", "zstd")
_BODIES_AT_ONCE = 16


async def measure(*, entries: int, runs: int, tell: Tell) -> Result:
    """Appends about `entries` entries in every run; how many bytes they take on the broker's disk, besides."""
    bodies = list(prepared(entries))
    amount = sum(map(len, bodies))
    data_bytes = sum(len(one.value) for body in bodies for one in body)
    stored: dict[str, int] = {}
    ways = dict.fromkeys((LogSettings().compression, *WAYS))
    sides = {way: partial(_turn, way, entries, amount, data_bytes, stored) for way in ways}
    samples = await interleaved("compression", sides, runs=runs, tell=tell)
    title = f"appending to Kafka, {amount:,} entries of {data_bytes // amount:,} bytes, by way of packing"
    return Result(
        name="compression",
        parameters={"entries": amount, "runs": runs, "entries_a_body": amount / len(bodies)},
        comparisons=[Comparison(title=title, subject=next(iter(ways)), samples=samples)],
        figures={f"{way}: bytes on disk an entry": stored[way] / amount for way in WAYS}
        | {f"{way}: packed so many times smaller": stored["none"] / stored[way] for way in WAYS},
    )


async def _turn(way: str, entries: int, amount: int, data_bytes: int, stored: dict[str, int]) -> Sample:
    async with await KafkaCluster.start() as cluster:
        orders = CompressionOrders(
            log=LogAt(kind=LogKind.KAFKA, address=cluster.bootstrap[0]),
            compression=way,
            entries=entries,
            bodies_at_once=_BODIES_AT_ONCE,
        )
        spent = await outcome("compression.worker", orders, Spent)
        stored[way] = _on_disk(cluster.root)
    return Sample.of(spent, {"entries": amount}, data_bytes=data_bytes)


def _on_disk(root: Path) -> int:
    """The bytes of the tenant's entries as the broker keeps them; it writes what the producer packed as it is."""
    segments = root.rglob(f"custody.{tenant.TENANT}.*/*.log")
    return sum(one.stat().st_size for one in segments)
