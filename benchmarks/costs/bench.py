"""Measures what each thing costs, and how well the model of `custody size` predicts traffic that it was not made from.

Each round lives through the lives of some messages, stage by stage, and sends bodies of 1 and of 10 items to an edge:
that gives costs. Then comes mixed traffic, kept by one archive worker, and bodies of 4 items: both are predicted by
the model from the costs of the same round.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.children import started
from benchmarks.costs import prediction, shipping, webhooks
from benchmarks.costs.life import PART_BYTES, Amounts, Life, lived, scene, sealed
from benchmarks.costs.prediction import Measured, Mixed
from benchmarks.costs.shipping import SOURCES
from benchmarks.figures import Result, Spread
from benchmarks.logs import SEED, fill
from benchmarks.provider import ProviderOrders
from benchmarks.rounds import interleaved
from benchmarks.stage import Kind
from benchmarks.traffic import bodies
from broker.core.topics import Stream
from broker.sizing.costs import Costs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.costs.webhooks import Taken, Webhooks
    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

BOUND = 0.25
"""A prediction is off by no more than this share."""
FEW, MANY, BETWEEN = 1, 10, 4
"""Items a body: those that costs come from, and those that are predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The costs of one round; what came of traffic they were not made from, and what they say of it."""

    costs: Costs
    measured: Measured
    predicted: Measured


async def measure(stage: Stage, *, entries: int, runs: int, tell: Tell) -> Result:
    """Lives through about `entries` entries in every round."""
    async with AsyncExitStack() as exits:
        provider = await exits.enter_async_context(started("provider", ProviderOrders(media_bytes=PART_BYTES)))
        edges = {
            items: await webhooks.up(
                stage,
                await exits.enter_async_context(stage.fresh(Kind.LOG)),
                exits,
                items_a_body=items,
                items=entries // 5,
            )
            for items in (FEW, MANY, BETWEEN)
        }
        one = partial(_round, stage, edges, entries, await provider.answer(int))
        found = await interleaved("costs", {"round": one}, runs=runs, tell=tell)
    return Result(
        name="costs",
        parameters={"entries": entries, "runs": runs, "part_bytes": PART_BYTES, "bound": BOUND},
        figures={**dict(_ratios(found["round"])), **dict(shipping.figures([one.costs for one in found["round"]]))},
    )


async def _round(stage: Stage, edges: Mapping[int, Webhooks], entries: int, port: int) -> Round:
    amounts = Amounts(texts=entries // 5, statuses=entries // 5, documents=entries // 16)
    life = await lived(stage, amounts, port)
    sent = {items: await edge.send() for items, edge in edges.items()}
    costs = _costs(life, sent)
    mixed = sealed(bodies(seed=SEED, items=entries // 5))
    async with scene(stage) as here:
        before = await here.look()
        await fill(here.log, [mixed])
        kept = await here.kept(Stream.MESSAGES, len(mixed), before, await here.look())
    mix = Mixed.of(mixed, items_a_body=BETWEEN)
    return Round(
        costs=costs, measured=prediction.measured(kept, sent[BETWEEN]), predicted=prediction.predicted(mix, costs)
    )


def _costs(life: Life, sent: Mapping[int, Taken]) -> Costs:
    """Each with what it comes from; where and when is said later."""
    disk = life.receipt.after.disk_bytes_a_byte
    parts_bytes = life.part.entries * PART_BYTES
    return Costs(
        machine="",
        at="",
        command="",
        note="",
        edge=webhooks.costs_of(sent[FEW], sent[MANY], SOURCES["edge"]),
        text=life.text.costs(SOURCES["text"], disk=disk),
        document=life.document.costs(SOURCES["document"], disk=disk),
        status=life.status.costs(SOURCES["status"], disk=disk),
        part=life.part.costs(SOURCES["part"], disk=disk),
        receipt=life.receipt.costs(SOURCES["receipt"], disk=disk),
        scan=life.scan.costs(SOURCES["scan"], disk=disk),
        fetch=life.fetch.costs(SOURCES["fetch"], disk=disk, appends=Stream.FETCHES),
        relay=life.relay.costs(SOURCES["relay"], disk=disk, appends=Stream.ERASURES),
        erase=life.erase.costs(SOURCES["erase"], disk=disk),
        part_bytes=PART_BYTES,
        blob_bytes_a_byte=life.blob_bytes / parts_bytes,
    )


def _ratios(rounds: Sequence[Round]) -> Iterator[tuple[str, float]]:
    """How predictions were, over what was measured; and how many of the medians are off by more than the bound."""
    off = 0
    for name in (one.name for one in fields(Measured)):
        spread = Spread.of(getattr(one.predicted, name) / getattr(one.measured, name) for one in rounds)
        measured = Spread.of(getattr(one.measured, name) for one in rounds)
        what = name.replace("_", " ")
        yield f"{what}: measured", measured.median
        yield f"{what}: predicted over measured", spread.median
        yield f"{what}: predicted over measured, least", spread.minimum
        yield f"{what}: predicted over measured, most", spread.maximum
        off += not 1 - BOUND <= spread.median <= 1 + BOUND
    yield f"predictions off by more than {BOUND:.0%}", off
