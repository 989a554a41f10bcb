"""Memory, as figures: what a large document adds, and what ten times the messages add."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.children import outcome
from benchmarks.figures import Result
from benchmarks.memory.blob import MEBIBYTE, BlobOrders, BlobOutcome
from benchmarks.memory.demo import peak_memory
from benchmarks.s3 import fresh_bucket, s3_server
from benchmarks.stage import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

DOCUMENT_BYTES = 100 * MEBIBYTE
DEMO_SIZES = (10_000, 100_000)


async def measure(
    stage: Stage, *, tell: Tell, progress: Path, document_bytes: int = DOCUMENT_BYTES, demos: Sequence[int] = ()
) -> Result:
    """A document through the blob store; besides, demos of so many messages, which take long.

    Without demos it is a result of another name, so that it never takes the place of one that has them.
    """
    tell("memory: a large document", 0, 1 + len(demos))
    figures = await _document(stage, document_bytes)
    if demos:
        tell("memory: demos", 1, 1 + len(demos))
        figures |= await _demos(demos, progress)
    parameters = {"document_bytes": document_bytes, "demo_messages": list(demos)}
    return Result(name="memory" if demos else "document", parameters=parameters, figures=figures)


async def _document(stage: Stage, size_bytes: int) -> dict[str, float]:
    async with stage.fresh(Kind.BLOBS) as place:
        figures = await _round_trip("", BlobOrders(dsn=place.dsn, size_bytes=size_bytes))
    async with s3_server() as server:
        orders = BlobOrders(s3=await fresh_bucket(server), size_bytes=size_bytes)
        return figures | await _round_trip(" on S3", orders)


async def _round_trip(where: str, orders: BlobOrders) -> dict[str, float]:
    found = await outcome("memory.blob", orders, BlobOutcome)
    before = found.before.peak_memory_bytes
    size = orders.size_bytes / MEBIBYTE
    name = f"document of {size:.0f} MiB{where}"
    return {
        f"{name}, in: MiB of memory added": (found.way_in.peak_memory_bytes - before) / MEBIBYTE,
        f"{name}, in and out: MiB of memory added": (found.way_out.peak_memory_bytes - before) / MEBIBYTE,
        f"{name}, in: MiB/s": size / found.way_in.seconds,
        f"{name}, out: MiB/s": size / found.way_out.seconds,
    }


async def _demos(sizes: Sequence[int], progress: Path) -> dict[str, float]:
    found = await peak_memory(sizes, progress=progress)
    peaks = {messages: sum(one["peak_memory_bytes"].values()) for messages, one in found.items()}
    figures: dict[str, float] = {}
    for messages, one in found.items():
        figures[f"demo of {messages:,} messages: peak MiB"] = peaks[messages] / MEBIBYTE
        figures[f"demo of {messages:,} messages: seconds"] = one["seconds"]
        figures[f"demo of {messages:,} messages: closed"] = one["closed"]
    figures[f"demo, peak at {sizes[-1]:,} over peak at {sizes[0]:,}"] = peaks[sizes[-1]] / peaks[sizes[0]]
    return figures
