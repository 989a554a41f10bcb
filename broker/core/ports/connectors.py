"""A provider: one folder each in `connectors`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from broker.core.item import Change
    from broker.core.model import EraseCommand, FetchTask
    from broker.core.registry import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a provider can do, as data.

    `erasable` are the object kinds with a delete call. `media_life` and `text_life` are how long the provider keeps
    bytes and texts by itself, per wanted storage. `min_age` before a delete is taken. `media_hosts` are the only
    hosts a token is sent to. `rate_scope` says what shares one rate: account, app or provider.
    """

    erasable: frozenset[str]
    media_life: Mapping[str, timedelta]
    text_life: Mapping[str, timedelta]
    min_age: timedelta
    media_hosts: tuple[str, ...]
    max_part_bytes: int
    rate_scope: str
    read_back: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPart:
    """A part's bytes on their way. `sha256`: the digests the provider announced (32 bytes each); all must hold."""

    mime: str
    size: int | None
    sha256: tuple[bytes, ...] = field(repr=False)
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseAnswer:
    """What the provider answered to a delete. `outcome` as in `ErasureOutcome`; `evidence` in fixed words."""

    outcome: str
    evidence: str
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that `custody check` found. `level`: ok, warning or problem; every problem has its remedy."""

    level: str
    subject: str
    message: str
    remedy: str = ""


class Connector(Protocol):
    """One provider. Its webhook edge is its own; what it can fetch, erase and read back is here."""

    @property
    def name(self) -> str:
        """The provider's name in records and settings."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the provider can do."""
        ...

    def parse(self, body: bytes) -> Sequence[Change]:
        """A body's items. Pure; never raises and never drops: what it does not know becomes `unsupported` or a gap."""
        ...

    def open_part(self, account: Account, task: FetchTask) -> AbstractAsyncContextManager[OpenPart]:
        """Opens a part's bytes at the provider.

        `ObjectGoneError`, `TooLargeError`, `ForbiddenHostError`: final. Provider errors that pass are retryable.
        """
        ...

    async def erase(self, account: Account, command: EraseCommand) -> EraseAnswer:
        """Deletes a provider object; raises only for faults of Custody's own."""
        ...

    async def check(self, account: Account) -> Sequence[Finding]:
        """Whether the account's posture and subscriptions are as wanted."""
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...
