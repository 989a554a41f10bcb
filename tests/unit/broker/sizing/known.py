"""Costs and a load with round figures, for answers that can be worked out by hand."""

from __future__ import annotations

from broker.sizing.costs import Costs, EdgeCosts, EntryCosts, WorkerCosts
from broker.sizing.limits import ProviderLimits
from broker.sizing.model import Load


def entry(*figures: float) -> EntryCosts:
    """Worker, CPU and server microseconds; bytes of store, WAL, log, entry."""
    worker, cpu, server, store, wal, log, plain = figures
    return EntryCosts(
        source="by hand",
        worker_microseconds=worker,
        cpu_microseconds=cpu,
        server_microseconds=server,
        store_bytes=store,
        wal_bytes=wal,
        log_bytes=log,
        entry_bytes=plain,
    )


def worker(cpu: float, server: float, log: float = 0, plain: float = 0) -> WorkerCosts:
    """CPU and server microseconds; bytes of log and entry."""
    return WorkerCosts(
        source="by hand", cpu_microseconds=cpu, server_microseconds=server, log_bytes=log, entry_bytes=plain
    )


COSTS = Costs(
    machine="a machine",
    at="2026-11-27T12:00:00+00:00",
    command="make bench",
    note="",
    edge=EdgeCosts(
        source="by hand",
        request_microseconds=100,
        item_microseconds=50,
        server_request_microseconds=20,
        server_item_microseconds=10,
    ),
    text=entry(100, 60, 80, 2000, 3000, 2500, 2000),
    document=entry(200, 100, 150, 4000, 5000, 3000, 2500),
    status=entry(50, 30, 40, 1000, 1500, 1200, 1000),
    part=entry(300, 150, 200, 1500, 2000, 1800, 1500),
    receipt=entry(400, 200, 300, 500, 700, 1600, 1300),
    scan=worker(10, 5),
    fetch=worker(2000, 500, 1000, 800),
    relay=worker(400, 300, 700, 600),
    erase=worker(800, 100),
    part_bytes=60_000,
    blob_bytes_a_byte=1.1,
)
LOAD = Load(
    numbers=10,
    messages_per_second=1000,
    statuses=3,
    media=0.2,
    media_bytes=100_000,
    identities=0.1,
    items_a_request=2,
    hours_a_day=10,
)
PROVIDER = ProviderLimits(number_messages_per_second=80, raised_messages_per_second=1000, calls_per_hour=5000, groups=1)
