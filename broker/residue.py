"""What a provider still holds of texts, which have no delete verb: derived from the record and the wanted posture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from broker.core.model import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from broker.core.ports import Capabilities, KeptRecord
    from broker.core.registry import Registry

PROVIDER_HOLDS = frozenset({Kind.MESSAGE, Kind.REACTION, Kind.EDIT, Kind.REVOCATION, Kind.SYSTEM})
"""The kinds a provider stores as messages."""


def held_until(kept: KeptRecord, *, registry: Registry, capabilities: Mapping[str, Capabilities]) -> datetime | None:
    """Until when the provider holds a record's text; None for what it holds no text of."""
    envelope = kept.record.envelope
    of_provider = capabilities.get(envelope.provider)
    if of_provider is None or envelope.kind not in PROVIDER_HOLDS:
        return None
    account = registry.account_of(provider=envelope.provider, account=envelope.account)
    storage = "default" if account is None else account.posture.storage
    happened = kept.record.arrival.received_at if envelope.occurred_at is UNSET else envelope.occurred_at
    return happened + of_provider.text_life[storage]
