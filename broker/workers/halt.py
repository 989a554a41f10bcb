"""Stopping one partition: the others go on, and the worker's pulse says what stopped and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from broker.core.delivery import code_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.core.errors import LogChangedError
    from broker.core.metrics import Metrics
    from broker.core.ports import Subscription
    from broker.core.topics import TopicPartition
    from broker.workers.deliver import Pulse

logger = structlog.get_logger(__name__)


def halt(  # noqa: PLR0913 - what stops, why, and whom to tell
    place: TopicPartition,
    error: Exception,
    *,
    worker: str,
    subscription: Subscription,
    pulse: Pulse,
    metrics: Metrics,
    again: bool = False,
) -> None:
    """Fetches nothing more of a partition, and says why: a person has to look, and was told so if it stops `again`."""
    pulse.stopped[place] = code_of(error)
    subscription.pause(frozenset({place}))
    if not again:
        metrics.count("custody.delivery.stopped", worker=worker, code=code_of(error))
    say = logger.info if again else logger.error
    say(
        "partition stopped",
        action="delivery.stopped",
        worker=worker,
        topic=place.topic,
        partition=place.partition,
        code=code_of(error),
        why=str(error) if code_of(error) != "unexpected" else type(error).__name__,
    )


def halt_each(error: LogChangedError, stop: Callable[[TopicPartition, LogChangedError], None]) -> None:
    """Stops the partitions that a log has changed in; where it does not say which, the error is raised."""
    if not error.places:
        raise error
    for place in error.places:
        stop(place, error)


def forget_others(pulse: Pulse, subscription: Subscription) -> None:
    """What is another member's now is no longer stopped here: should it come back, it is looked at afresh."""
    gone = frozenset(pulse.stopped) - subscription.assignment
    for place in gone:
        del pulse.stopped[place]
    if gone:
        subscription.resume(gone)
