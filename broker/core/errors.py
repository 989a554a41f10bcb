"""The error tree: what went wrong decides what the delivery loop does next.

Every error has a stable `code`, which is also its metric label, and a message that says what failed,
for which id, and what to do. Messages never carry content, phone numbers, provider ids or credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from broker.core.topics import TopicPartition


class CustodyError(Exception):
    """Something Custody names. Raise one of its children."""

    code: ClassVar[str] = "error"


class RetryableError(CustodyError):
    """Will pass by itself: wait and try the same work again, moving no offset."""

    code: ClassVar[str] = "retryable"


class PermanentError(CustodyError):
    """Will fail the same way again: narrow it down to one entry and set that one aside."""

    code: ClassVar[str] = "permanent"


class FatalError(CustodyError):
    """Going on would break a promise: stop the partition (or the process) and call a person."""

    code: ClassVar[str] = "fatal"


class LogUnavailableError(RetryableError):
    """The event log can't be read or written; nothing was appended."""

    code: ClassVar[str] = "log_unavailable"


class StoreUnavailableError(RetryableError):
    """The record store is down, or refuses the credential; nothing was written."""

    code: ClassVar[str] = "store_unavailable"


class BlobsUnavailableError(RetryableError):
    """The blob store is down, or refuses the credential; nothing is visible of the blob."""

    code: ClassVar[str] = "blobs_unavailable"


class OwnershipLostError(RetryableError):
    """The partition belongs to another worker now; it will do the work again, and the store absorbs the repeat."""

    code: ClassVar[str] = "ownership_lost"


class ProviderUnavailableError(RetryableError):
    """The provider did not answer, or answered 5xx."""

    code: ClassVar[str] = "provider_unavailable"


class ProviderThrottledError(RetryableError):
    """The provider asks to slow down; `retry_after_seconds` is its wish, if it said one."""

    code: ClassVar[str] = "provider_throttled"

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ProviderRefusedError(RetryableError):
    """The provider refuses the credential (401, 403): renew it; the work waits."""

    code: ClassVar[str] = "provider_refused"


class ObjectGoneError(PermanentError):
    """The provider no longer has the object."""

    code: ClassVar[str] = "gone"


class TooLargeError(PermanentError):
    """More bytes than the limit allows."""

    code: ClassVar[str] = "too_large"


class DigestMismatchError(PermanentError):
    """The bytes are not those the provider announced."""

    code: ClassVar[str] = "digest_mismatch"


class ForbiddenHostError(PermanentError):
    """A media URL outside the provider's allow-listed hosts: the token is not sent there."""

    code: ClassVar[str] = "forbidden_host"


class MalformedEntryError(PermanentError):
    """A log entry that can't be decoded."""

    code: ClassVar[str] = "malformed_entry"


class UnstorableError(PermanentError):
    """The store refuses this record for what it is, not for the state the store is in."""

    code: ClassVar[str] = "unstorable"


class AlteredRecordError(PermanentError):
    """A kept row can't be read: it is not what was kept. `custody report --verify` names every such row."""

    code: ClassVar[str] = "altered_record"


class AdoptionRefusedError(PermanentError):
    """A log can't take the other one's place: something of the old one would be left behind. Nothing was written."""

    code: ClassVar[str] = "adoption_refused"


class LossRefusedError(PermanentError):
    """What is to be accepted as lost is not: it does not begin where the store stands. Nothing was written."""

    code: ClassVar[str] = "loss_refused"


class TopicRefusedError(PermanentError):
    """The log refuses to create or to change a topic for what is asked; the message has its reason."""

    code: ClassVar[str] = "topic_refused"


class BlobExistsError(PermanentError):
    """A blob lies there already; blobs are written once."""

    code: ClassVar[str] = "blob_exists"


class OffsetGapError(FatalError):
    """Entries between the store's progress and the batch are missing: restore the log, or accept the loss."""

    code: ClassVar[str] = "offset_gap"

    def __init__(self, *, topic: str, partition: int, expected: int, found: int) -> None:
        super().__init__(
            f"{topic}[{partition}]: the store is at offset {expected}, the log goes on at {found}; "
            "nothing was written. Restore the log, or accept the loss: custody gap accept"
        )
        self.topic = topic
        self.partition = partition
        self.expected = expected
        self.found = found


class LogChangedError(FatalError):
    """The log is not the one this store was kept from: its identity or its last kept entry differs.

    `place` is the one partition it is about; None where it is about all of them.
    """

    code: ClassVar[str] = "log_changed"

    def __init__(self, message: str, *, place: TopicPartition | None = None) -> None:
        super().__init__(message)
        self.place = place


class SchemaError(FatalError):
    """The store's or the log's schema is not one this version knows: migrate, or upgrade Custody."""

    code: ClassVar[str] = "schema"


class UnregisteredError(FatalError):
    """A topic of a tenant that is not registered: register it again (`custody tenant apply`), then restart."""

    code: ClassVar[str] = "unregistered"


class DeadLetterLimitError(FatalError):
    """Too many dead letters in a row: the fault is unlikely to be theirs. Look, then resume."""

    code: ClassVar[str] = "dead_letter_limit"


class SettingsError(CustodyError):
    """Settings that can't work; `findings` has one line for each: the setting, what is wrong, an example."""

    code: ClassVar[str] = "settings"

    def __init__(self, findings: list[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings
