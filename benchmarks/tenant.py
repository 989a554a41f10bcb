"""The one tenant of the benchmarks, with one number; the clock's time, and the signature of its webhooks."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from broker.core.identity import TenantKey
from broker.core.registry import Account, App, Registry, Tenant
from broker.core.topics import ACCOUNTED_STREAMS, ARCHIVED_STREAMS, Stream, tenant_topics, topic_name
from connectors.whatsapp_cloud.capabilities import NAME

if TYPE_CHECKING:
    from broker.core.topics import TopicSpec

TENANT = "acme"
APP = "acme-app"
ACCOUNT, WABA, NUMBER = "106540352242922", "102290129340398", "27115550100"
WEBHOOK_PATH = f"/webhooks/{NAME}/{APP}"
AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
"""What the benchmarks' clocks say: records and the floor's rows must have the same bytes in every run."""
ACCOUNTED_TOPICS = tuple(topic_name(TENANT, stream) for stream in ACCOUNTED_STREAMS)
KEPT_TOPIC = topic_name(TENANT, Stream.KEPT)

_PARTITIONS = 4
ARCHIVED_PARTITIONS = _PARTITIONS * len(ARCHIVED_STREAMS)
SECRET = b"a-secret-that-opens-nothing"
_OPENS_NOTHING = "none"


def registry() -> Registry:
    """One tenant with one number."""
    key = TenantKey(hashlib.sha256(b"a key for benchmarks").digest())
    account = Account(
        name="claims", tenant=TENANT, app=APP, provider=NAME, id=ACCOUNT, group=WABA, token=_OPENS_NOTHING
    )
    app = App(name=APP, provider=NAME, tenant=TENANT, app_id="1", secrets=(SECRET,), verify_token=_OPENS_NOTHING)
    return Registry(
        tenants={TENANT: Tenant(name=TENANT, zone="UTC", key=key)}, apps={APP: app}, accounts={"claims": account}
    )


def topics() -> tuple[TopicSpec, ...]:
    """Every topic of the tenant."""
    return tenant_topics(TENANT, partitions=_PARTITIONS, retention_days=14)


def signature(body: bytes) -> bytes:
    """The value of the header that the provider sends with a body."""
    return b"sha256=" + hmac.digest(SECRET, body, "sha256").hex().encode()
