"""The seams: a Protocol only where there are two implementations (docs/adr/0003).

Everything that crosses one is an immutable value of `model` or of this package. Times are aware UTC, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from broker.core.item import Change
from broker.core.model import MediaObject
from broker.core.ports.blobs import BlobInfo, BlobStore, OpenBlobs
from broker.core.ports.connectors import Capabilities, Connector, EraseAnswer, Finding, OpenPart
from broker.core.ports.log import Bounds, EventLog, LogEntry, NewEntry, StartAt, Subscription
from broker.core.ports.records import RecordStore
from broker.core.ports.stored import (
    NOTHING_KEPT,
    Adoption,
    Answer,
    Arrived,
    BucketTally,
    ClaimedTarget,
    DeadEntry,
    DeadLetter,
    ErasurePolicy,
    KeptPart,
    KeptRecord,
    KeptTarget,
    Loss,
    OpenGap,
    Progress,
    SealedRecord,
    Tally,
    UnkeptPart,
)
from broker.core.ports.tables import TableSnapshot, TableStore
from broker.core.registry import Account

Clock = Callable[[], datetime]
"""Now, aware and in UTC."""
Entropy = Callable[[int], bytes]
"""So many random bytes; seeded in tests and where a demo is to be repeatable: see `entropy.drawn`."""

__all__ = [
    "NOTHING_KEPT",
    "Account",
    "Adoption",
    "Answer",
    "Arrived",
    "BlobInfo",
    "BlobStore",
    "Bounds",
    "BucketTally",
    "Capabilities",
    "Change",
    "ClaimedTarget",
    "Clock",
    "Connector",
    "DeadEntry",
    "DeadLetter",
    "Entropy",
    "EraseAnswer",
    "ErasurePolicy",
    "EventLog",
    "Finding",
    "KeptPart",
    "KeptRecord",
    "KeptTarget",
    "LogEntry",
    "Loss",
    "MediaObject",
    "NewEntry",
    "OpenBlobs",
    "OpenGap",
    "OpenPart",
    "Progress",
    "RecordStore",
    "SealedRecord",
    "StartAt",
    "Subscription",
    "TableSnapshot",
    "TableStore",
    "Tally",
    "UnkeptPart",
]
