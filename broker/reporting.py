"""The account as a report: by tenant, by number and day in the tenant's zone, and the residue of texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from broker.core.account import Account, draw, of_bucket, total
from broker.core.topics import ACCOUNTED_STREAMS, topic_name
from broker.residue import held_until
from broker.verifying import Verified

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.core.ports import BucketTally, Capabilities, EventLog, RecordStore
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
    """A tenant's account. `texts` and `verified` are None where they were not asked for."""

    tenant: str
    zone: str
    figures: Account
    days: Sequence[DayAccount]
    texts: Texts | None = None
    verified: Verified | None = None

    @property
    def problems(self) -> list[str]:
        """What keeps it from closing."""
        return [f"{self.tenant}: {one}" for one in self.figures.problems()]

    @property
    def is_altered(self) -> bool:
        """Whether something that was hashed again is not what was kept."""
        return self.verified is not None and bool(self.verified.mismatches)


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

    @property
    def is_altered(self) -> bool:
        """Whether this is so of any of them."""
        return any(one.is_altered for one in self.tenants)


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


FIGURES = (
    ("accepted", "answered 200, and in the log"),
    ("kept", "in the store, once each"),
    ("duplicates", "delivered again"),
    ("variants", "same id, other content: kept beside the first"),
    ("dead", "set aside, with a gap record"),
    ("unprocessed", "in the log, not in the store yet"),
    ("lost", "in a gap of the log that someone accepted"),
    ("gaps", "known to be missing, each a record"),
    ("parts", "photos, voice notes, documents named"),
    ("parts_kept", "in the blob store, digest checked"),
    ("parts_lost", "gone before they could be fetched, or refused"),
    ("parts_open", "still to be fetched"),
    ("targets", "provider objects to erase"),
    ("erased", "deleted there, with a receipt"),
    ("already_gone", "no longer there"),
    ("residue", "can't be erased"),
    ("expired", "past the provider's own deadline"),
    ("open", "still to be erased"),
)
"""The account's figures in the order they are shown, and what each means."""
