"""The delivery policy: which error means what, whatever the log. One table, and pure.

Retryable: wait and try the same batch again, moving no offset; an outage pauses the partition and writes no dead
letter. Permanent: narrow the batch down to the one entry and set that one aside. Fatal: stop the partition and call
a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from broker.core.errors import CustodyError, FatalError, OwnershipLostError, PermanentError, RetryableError


class Action(StrEnum):
    """What the delivery loop does about an error."""

    RETRY = "retry"
    NARROW = "narrow"
    YIELD = "yield"
    STOP = "stop"


_TABLE: tuple[tuple[type[Exception], Action], ...] = (
    (OwnershipLostError, Action.YIELD),
    (RetryableError, Action.RETRY),
    (PermanentError, Action.NARROW),
    (FatalError, Action.STOP),
    # A bug meets one entry or all of them: narrowing finds out which, and the limit on dead letters in a row stops it.
    (Exception, Action.NARROW),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPolicy:
    """How patient the loop is. Waits double from the first to the most; `dead_letters_in_a_row` stop a partition."""

    first_wait_seconds: float = 0.1
    most_wait_seconds: float = 15.0
    dead_letters_in_a_row: int = 100
    batch_entries: int = 1000

    def wait_seconds(self, attempt: int) -> float:
        """The wait after failed attempt number `attempt`, which counts from 1."""
        return min(self.most_wait_seconds, self.first_wait_seconds * 2.0 ** min(attempt - 1, 20))


def action_for(error: Exception) -> Action:
    """What to do about an error that a handler raised."""
    return next(action for kind, action in _TABLE if isinstance(error, kind))


def code_of(error: Exception) -> str:
    """The stable code of an error, for metrics, logs and dead letters."""
    return error.code if isinstance(error, CustodyError) else "unexpected"
