"""Fills a log with deletion commands, and lets the worker and its floor take turns at one provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import tenant
from benchmarks.children import Child, outcome, started
from benchmarks.digests import NotTheSameError
from benchmarks.erase.orders import CONCURRENCY, FloorOrders, WorkerOrders
from benchmarks.figures import Comparison, Result, Sample
from benchmarks.logs import LogKind, empty_log, fill, told
from benchmarks.machine import Spent
from benchmarks.provider import ProviderOrders, check_asked, object_ids
from benchmarks.rounds import interleaved
from benchmarks.stage import Stage
from broker.core.model import EraseCommand, ErasureOutcome
from broker.core.ports import ClaimedTarget, NewEntry
from broker.core.topics import Stream
from broker.workers.relay import command_entry
from connectors.whatsapp_cloud.capabilities import MEDIA, NAME

if TYPE_CHECKING:
    from benchmarks.rounds import Tell


async def measure(stage: Stage, *, targets: int, runs: int, tell: Tell, on: LogKind = LogKind.POSTGRES) -> Result:
    """Erases so many targets in every run. The worker reads commands and appends receipts besides; the floor does not.

    `data_bytes` are those of the commands.
    """
    async with started("provider", ProviderOrders()) as provider:
        commands = [command_entry(_claimed(one)) for one in object_ids(targets)]
        turns = _Turns(stage=stage, on=on, provider=provider, port=await provider.answer(int), commands=commands)
        sides = {"worker": turns.worker, "aiohttp": turns.floor}
        samples = await interleaved("erase", sides, runs=runs, tell=tell)
    title = f"erase: {targets:,} targets, {CONCURRENCY} at once, log on {on}"
    return Result(
        name=on.named("erase"),
        parameters={"targets": targets, "runs": runs, "log": on, "at_once": CONCURRENCY},
        comparisons=[Comparison(title=title, subject="worker", samples=samples)],
    )


def _claimed(object_id: str) -> ClaimedTarget:
    key = tenant.registry().tenants[tenant.TENANT].key
    target_id = key.target_id(provider=NAME, account=tenant.ACCOUNT, object_kind=MEDIA, object_id=object_id)
    command = EraseCommand(
        tenant=tenant.TENANT,
        account=tenant.ACCOUNT,
        provider=NAME,
        target_id=target_id,
        object_kind=MEDIA,
        object_id=object_id,
        attempt=1,
        commanded_at=tenant.AT,
    )
    return ClaimedTarget(command=command, conversation="")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turns:
    """Each turn of the worker's has a log of its own."""

    stage: Stage
    on: LogKind
    provider: Child
    port: int
    commands: Sequence[NewEntry]

    async def worker(self) -> Sample:
        async with empty_log(self.stage, self.on) as at:
            await fill(at, [self.commands])
            orders = WorkerOrders(log=at, port=self.port, targets=len(self.commands))
            spent = await outcome("erase.worker", orders, Spent)
            receipts = await told(at, Stream.RECEIPTS)
        if receipts != {ErasureOutcome.ERASED: len(self.commands)}:
            raise NotTheSameError(f"receipts for {len(self.commands)} targets: {dict(receipts)}")
        return await self._sample(spent)

    async def floor(self) -> Sample:
        orders = FloorOrders(port=self.port, targets=len(self.commands))
        return await self._sample(await outcome("erase.floor", orders, Spent))

    async def _sample(self, spent: Spent) -> Sample:
        """What it took, once it is sure that the provider was asked about every object, and once."""
        await check_asked(self.provider, len(self.commands))
        return Sample.of(
            spent, {"targets": len(self.commands)}, data_bytes=sum(len(one.value) for one in self.commands)
        )
