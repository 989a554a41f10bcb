"""Acts: what an operator did, kept as a record with who, when and why. An act is kept before it is done.

Acts have no place in the log, so the account does not count them.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from broker import __version__
from broker.core.codec import ACT_ENCODING, canonical
from broker.core.entropy import drawn
from broker.core.identity import SALT_BYTES, content_digest
from broker.core.model import Arrival, Content, Delivery, Direction, Envelope, Kind, Record, Relation

if TYPE_CHECKING:
    from broker.core.ports import Entropy
    from broker.core.registry import Tenant

PROVIDER = "custody"
ACCOUNT = "operators"
_ID_BYTES = 16


class Action(StrEnum):
    """What can be done."""

    READ_CONTENT = "read_content"
    READ_DEAD = "read_dead"
    REDRIVE = "redrive"
    REPLAY = "replay"
    UNBLOCK = "unblock"
    ACCEPT_GONE = "accept_gone"
    REFETCH = "refetch"
    ACCEPT_LOSS = "accept_loss"
    ADOPT_LOG = "adopt_log"
    COPY = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """Who does what, and why. `about` are the records concerned; `arguments` name the rest, without content."""

    action: Action
    who: str = field(repr=False)
    why: str = field(repr=False)
    about: Sequence[str] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActContent:
    """The content of an `act` record."""

    action: str
    who: str = field(repr=False)
    why: str = field(repr=False)
    at: datetime
    arguments: Mapping[str, str]
    salt: bytes = field(repr=False)


def act_record(doing: Doing, *, tenant: Tenant, at: datetime, entropy: Entropy) -> Record:
    """The record of an act in a tenant's name, ready for `RecordStore.keep_act`."""
    native_key = drawn(entropy, _ID_BYTES, doing.action, at.isoformat(), fresh=True).hex()
    salt = drawn(entropy, SALT_BYTES, doing.action, native_key)
    content = ActContent(action=doing.action, who=doing.who, why=doing.why, at=at, arguments=doing.arguments, salt=salt)
    data = canonical(content)
    envelope = Envelope(
        record_id=tenant.key.record_id(provider=PROVIDER, account=ACCOUNT, kind=Kind.ACT, native_key=(native_key,)),
        tenant=tenant.name,
        account=ACCOUNT,
        provider=PROVIDER,
        kind=Kind.ACT,
        type=doing.action,
        direction=Direction.INTERNAL,
        conversation=tenant.key.conversation(provider=PROVIDER, account=ACCOUNT, thread=()),
        relations=tuple(Relation(kind="about", record_id=one) for one in doing.about),
        occurred_at=at,
        content_digest=content_digest(salt=salt, data=data),
    )
    delivery = Delivery(id=envelope.record_id, index=0, connector=f"custody/{__version__}")
    return Record(
        envelope=envelope,
        arrival=Arrival(received_at=at, delivery=delivery),
        content=Content(encoding=ACT_ENCODING, data=data),
    )


def operator() -> str:
    """The account of the operating system that runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
