"""Every metric by name, with its meaning. Labels are stable codes, tenants, streams: never content, ids or numbers."""

from __future__ import annotations

from typing import Literal, Protocol

CounterName = Literal[
    "custody.webhook.bodies",  # bodies received, by connector and outcome (accepted, unsigned, too_large, log_down, ..)
    "custody.webhook.items",  # items accepted, by connector, tenant and kind
    "custody.webhook.unclaimed",  # changes kept raw for accounts nobody registered, by connector and reason
    "custody.log.appended",  # entries appended, by stream
    "custody.delivery.entries",  # entries handed to a worker and done, by worker
    "custody.delivery.retries",  # batches tried again, by worker and error code
    "custody.delivery.set_aside",  # entries set aside, by worker and error code
    "custody.delivery.stopped",  # partitions stopped, by worker and error code
    "custody.keep.answers",  # what became of entries, by outcome
    "custody.media.parts",  # parts settled, by state and reason
    "custody.media.retries",  # fetches to be tried again, by error code
    "custody.erase.commands",  # deletion commands published
    "custody.erase.receipts",  # receipts, by outcome
    "custody.gaps.data_loss",  # 131035: the provider dropped a message for good
]

GaugeName = Literal[
    "custody.media.open",  # parts still to be fetched
    "custody.media.nearest_deadline_seconds",  # time left of the part nearest its deadline
    "custody.delivery.paused",  # 1 while a worker waits for a dependency, by worker
    "custody.log.lag_entries",  # entries not read or kept yet, of own and unread partitions, by group, tenant, stream
    "custody.log.oldest_unkept_seconds",  # for how long the oldest of them has been waiting, by group, tenant, stream
    "custody.log.stopped_partitions",  # partitions of these that stopped, by group, tenant, stream and error code
    "custody.log.waiting_partitions",  # partitions whose worker waits, by group, tenant, stream and error code
    "custody.dead.open",  # dead letters that are not settled, by tenant and stream
    "custody.delivery.last_progress_seconds",  # age of a worker's last sign of life
]


class Metrics(Protocol):
    """Where counts go."""

    def count(self, name: CounterName, amount: int = 1, **labels: str) -> None:
        """Adds to a counter."""
        ...

    def gauge(self, name: GaugeName, value: float, **labels: str) -> None:
        """Sets a gauge."""
        ...


class NoMetrics:
    """Counts nothing: for tests and one-off commands."""

    def count(self, name: CounterName, amount: int = 1, **labels: str) -> None:
        """Nothing."""

    def gauge(self, name: GaugeName, value: float, **labels: str) -> None:
        """Nothing."""
