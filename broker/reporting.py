"""The account as a report: by tenant, by number and day in the tenant's zone, and the residue of texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from msgspec import UNSET

from broker.core.account import Account, draw, of_bucket, total
from broker.core.topics import ACCOUNTED_STREAMS, topic_name
from broker.judge import PROVIDER_HOLDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.core.ports import BucketTally, Capabilities, EventLog, KeptRecord, RecordStore
    from broker.core.registry import Registry, Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAccount:
    """The account of one number on one day of the tenant's zone. What is unprocessed is not known by day."""

    account: str
    day: date
    figures: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What the provider still holds of texts, which have no delete verb: how many, and until when at the latest."""

    count: int = 0
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantReport:
    """A tenant's account. `texts` is None where it was not asked for."""

    tenant: str
    zone: str
    figures: Account
    days: Sequence[DayAccount]
    texts: Texts | None = None

    @property
    def problems(self) -> list[str]:
        """What keeps it from closing."""
        return [f"{self.tenant}: {one}" for one in self.figures.problems()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The accounts of several tenants."""

    tenants: Sequence[TenantReport]
    unclaimed: int = 0
    figures: Account = field(default_factory=Account)

    @property
    def problems(self) -> list[str]:
        """What keeps any of them from closing."""
        return [problem for one in self.tenants for problem in one.problems]


async def tenant_report(tenant: Tenant, *, log: EventLog, store: RecordStore, day: date | None = None) -> TenantReport:
    """A tenant's account: the store's snapshot first, then the log, so that what comes meanwhile is unprocessed."""
    tally = await store.tally(tenant.name, log.identity, buckets=True)
    bounds = await log.bounds([topic_name(tenant.name, stream) for stream in ACCOUNTED_STREAMS])
    days = [one for one in by_day(tally.buckets, tenant.zone) if day is None or one.day == day]
    return TenantReport(tenant=tenant.name, zone=tenant.zone, figures=draw(tally, bounds), days=days)


def summed(tenants: Sequence[TenantReport], *, unclaimed: int) -> Report:
    """Several tenants' accounts added up."""
    return Report(tenants=tenants, unclaimed=unclaimed, figures=total(one.figures for one in tenants))


def by_day(buckets: Iterable[BucketTally], zone: str) -> list[DayAccount]:
    """Quarters of an hour, added up to days of a zone. Zones differ from UTC by whole quarters."""
    here = ZoneInfo(zone)
    sums: dict[tuple[str, date], list[Account]] = defaultdict(list)
    for bucket in buckets:
        sums[bucket.account, bucket.start.astimezone(here).date()].append(of_bucket(bucket))
    return [
        DayAccount(account=account, day=day, figures=total(figures))
        for (account, day), figures in sorted(sums.items(), key=lambda one: (one[0][1], one[0][0]))
    ]


async def texts_held(
    tenant: str,
    *,
    store: RecordStore,
    registry: Registry,
    capabilities: Mapping[str, Capabilities],
    now: datetime,
) -> Texts:
    """The residue of texts, derived from each record and the wanted posture of its account. Reads every record."""
    count, latest = 0, None
    async for kept in store.records(tenant):
        until = held_until(kept, registry=registry, capabilities=capabilities)
        if until is not None and until > now:
            count += 1
            latest = max(until, latest or until)
    return Texts(count=count, until=latest)


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
