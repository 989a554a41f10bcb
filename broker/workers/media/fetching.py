"""One part: from the provider into the blob store, or the reason why not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET

from broker.core import identity
from broker.core.delivery import code_of
from broker.core.digests import announced_sha256
from broker.core.entropy import drawn
from broker.core.erasure import LossReason
from broker.core.errors import (
    BlobExistsError,
    BlobsUnavailableError,
    DigestMismatchError,
    ObjectGoneError,
)
from broker.core.model import PartOutcome, PartState
from broker.core.ports import BlobStore, Connector, Entropy
from broker.core.registry import Registry
from broker.workers.witness import Witness

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from broker.core.model import FetchTask
    from broker.core.ports import BlobInfo

_CERTAIN_AFTER: dict[str, tuple[int, LossReason]] = {
    "too_large": (1, LossReason.TOO_LARGE),
    "unaddressed": (1, LossReason.UNADDRESSED),
    "digest_mismatch": (5, LossReason.DIGEST_MISMATCH),
}
"""After how many tries an error, by its code, makes a part lost. Any other may pass before the provider's deadline."""
_TRIES_PAST_DEADLINE = 8
"""The deadline is our reckoning: what fails after it is tried so often before it counts as expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a failed try means: lost for a reason, or (None) to be tried again."""

    reason: LossReason | None
    witnessed: bool = False


@dataclass(slots=True, kw_only=True)
class Fetching:
    """Fetches one part at a time."""

    connectors: Mapping[str, Connector]
    registry: Callable[[], Registry]
    blobs: BlobStore
    witness: Witness
    entropy: Entropy

    async def fetch(self, task: FetchTask) -> PartOutcome:
        """Keeps the bytes of a part; raises what the connector or the blob store raises."""
        info = await self._kept_before(task) or await self._download(task)
        return PartOutcome(
            record_id=task.record_id,
            fingerprint=task.fingerprint,
            number=task.media.part,
            target_id=task.target_id,
            state=PartState.KEPT,
            salt=self._salt(task, PartState.KEPT),
            size=info.size,
            sha256=info.sha256,
            place=info.place,
            version=info.version,
        )

    def lost(self, task: FetchTask, verdict: Verdict) -> PartOutcome:
        """The result of a part that will never be kept."""
        return PartOutcome(
            record_id=task.record_id,
            fingerprint=task.fingerprint,
            number=task.media.part,
            target_id=task.target_id,
            state=PartState.LOST,
            salt=self._salt(task, PartState.LOST),
            reason=str(verdict.reason),
            witnessed=verdict.witnessed,
        )

    def _salt(self, task: FetchTask, state: str) -> bytes:
        about = (task.record_id, task.fingerprint, str(task.media.part), state)
        return drawn(self.entropy, identity.SALT_BYTES, *about)

    def judge(self, task: FetchTask, error: Exception, *, attempt: int, now: datetime, grace: timedelta) -> Verdict:
        """What an error means for a part that failed of it `attempt` times. An outage of the blobs loses no part.

        Absent is certain only with a witness: without permission, the provider answers alike.
        """
        if isinstance(error, BlobsUnavailableError):
            return Verdict(reason=None)
        if isinstance(error, ObjectGoneError) and self.witness.vouches(task.provider, task.account):
            return Verdict(reason=LossReason.GONE, witnessed=True)
        tries, reason = _CERTAIN_AFTER.get(code_of(error), (math.inf, None))
        if attempt >= tries:
            return Verdict(reason=reason)
        expired = now > task.fetch_by + grace and attempt >= _TRIES_PAST_DEADLINE
        return Verdict(reason=LossReason.EXPIRED if expired else None)

    async def _kept_before(self, task: FetchTask) -> BlobInfo | None:
        """The blob of an earlier try of this very part, if its digest is the announced one."""
        announced = announced_sha256(None if task.media.sha256 is UNSET else task.media.sha256)
        if announced is None:
            return None
        for place in _places(task):
            info = await self.blobs.stat(place)
            if info is not None and info.sha256 == announced:
                return info
        return None

    async def _download(self, task: FetchTask) -> BlobInfo:
        """Downloads to the part's place; to its variant's place when another variant's bytes lie there."""
        first, second = _places(task)
        try:
            return await self._download_to(first, task)
        except BlobExistsError:
            if (info := await self._kept_before(task)) is not None:  # another delivery of it was quicker
                return info
        try:
            return await self._download_to(second, task)
        except BlobExistsError:
            info = await self.blobs.stat(second)
            if info is None:
                raise
            return info

    async def _download_to(self, place: str, task: FetchTask) -> BlobInfo:
        connector = self.connectors[task.provider]
        account = self.registry().require(provider=task.provider, account=task.account)
        async with connector.open_part(account, task) as part:
            if len(set(part.sha256)) > 1:
                message = f"part {task.media.part} of {task.record_id}: the provider announces two digests"
                raise DigestMismatchError(message)
            info = await self.blobs.put(
                place,
                part.chunks,
                max_bytes=connector.capabilities.max_part_bytes,
                sha256=part.sha256[0] if part.sha256 else None,
            )
        self.witness.saw(task.provider, task.account)
        return info


def _places(task: FetchTask) -> tuple[str, str]:
    """Where a part lies: under its record, or, where a variant shares that id, under the variant's."""
    variant = identity.variant_id(task.record_id, task.fingerprint)
    return (
        f"{task.tenant}/{task.record_id}/{task.media.part}",
        f"{task.tenant}/{variant}/{task.media.part}",
    )
