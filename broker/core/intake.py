"""From a parsed body to log entries: who owns each change, and what becomes of those that nobody does. Pure.

A secret vouches only for its own app's accounts. What a signed body says of any other account is kept raw
until someone registers that account; a signed body is never refused, and nothing of it is dropped.
"""

from __future__ import annotations

import base64
import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from msgspec import UNSET

from broker.core.codec import canonical
from broker.core.entropy import drawn
from broker.core.item import Change, Item
from broker.core.model import Delivery, Kind, Origin, Record, UnclaimedBody
from broker.core.parcels import Packer, Parcel
from broker.core.ports import Capabilities, Entropy, NewEntry
from broker.core.registry import App, Registry, Tenant
from broker.core.seal import Sealer, event_headers
from broker.core.topics import unclaimed_topic
from broker.core.values import Value

_DELIVERY_ID_BYTES = 15


class Reason(StrEnum):
    """Why a change is kept raw. `FOREIGN_ACCOUNT` is worth an alarm: it is another app's.

    `TOO_MANY` is a whole body of more items than are sealed while its sender waits: it is claimed a slice at a time.
    """

    UNKNOWN_ACCOUNT = "unknown_account"
    FOREIGN_ACCOUNT = "foreign_account"
    SHARED_GROUP = "shared_group"
    UNKNOWN_APP = "unknown_app"
    UNREADABLE = "unreadable"
    TOO_MANY = "too_many"


class SignedDelivery(Value, frozen=True, kw_only=True):
    """A body whose signature held: the `app` that signed it, a random `id`, the `connector`'s version."""

    app: App
    id: str
    received_at: datetime
    connector: str


class Owner(Value, frozen=True, kw_only=True):
    """Whom a change belongs to: a tenant, the account its records stand under, the storage wanted of it."""

    tenant: Tenant
    account: str
    storage: str = "default"


class Intake(Value, frozen=True, kw_only=True):
    """What a body comes to, before anything is written.

    `parcels` are for the blob store, before the entries that refer to them are appended. `accepted` counts records by
    (tenant, kind), `unclaimed` counts changes by `Reason`. `identities` name the
    identity records among the entries: `RecentIds.mark` them once the log has acknowledged. `faults` name the
    errors that left a change unreadable, by type alone.
    """

    entries: tuple[NewEntry, ...] = ()
    parcels: tuple[Parcel, ...] = ()
    accepted: Mapping[tuple[str, str], int] = {}
    unclaimed: Mapping[str, int] = {}
    identities: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class RecentIds:
    """What was acknowledged lately, at most `limit` names: the least recently used one goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._names: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, name: object) -> bool:
        """Asked in threads too: one step, since a name may go between two."""
        try:
            self._names.move_to_end(name)  # type: ignore[arg-type]  # what is no name is not there
        except KeyError:
            return False
        return True

    def mark(self, names: Iterable[str]) -> None:
        """Remembers these; only after the log has acknowledged the entries they name."""
        for name in names:
            self._names[name] = None
            self._names.move_to_end(name)
        while len(self._names) > self._limit:
            self._names.popitem(last=False)


class Directory:
    """A registry by provider ids, in constant time: one for each registry value, see `renew`."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._groups: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
        for account in registry.accounts.values():
            self._groups[account.provider, account.group].add((account.app, account.tenant))

    def renew(self, registry: Registry) -> Directory:
        """This directory while the registry is still the same value, else a new one."""
        return self if registry is self.registry else Directory(registry)

    def owner(self, app: App, change: Change) -> Owner | Reason:
        """Whom a change in a body signed by `app` belongs to."""
        if change.account is not None:
            return self._of_account(app, change.account)
        if change.account_group is not None:
            return self._of_group(app, change.account_group)
        return self._owned(app.tenant, f"app.{app.name}")

    def _of_account(self, app: App, account_id: str) -> Owner | Reason:
        account = self.registry.account_of(provider=app.provider, account=account_id)
        if account is None:
            return Reason.UNKNOWN_ACCOUNT
        if account.app != app.name:
            return Reason.FOREIGN_ACCOUNT
        return self._owned(account.tenant, account.id, account.posture.storage)

    def _of_group(self, app: App, group: str) -> Owner | Reason:
        holders = self._groups.get((app.provider, group), set())
        tenants = {tenant for name, tenant in holders if name == app.name}
        if len(tenants) == 1:
            return self._owned(tenants.pop(), f"waba.{group}")
        if tenants:
            return Reason.SHARED_GROUP
        return Reason.FOREIGN_ACCOUNT if holders else Reason.UNKNOWN_ACCOUNT

    def _owned(self, tenant: str, account: str, storage: str = "default") -> Owner | Reason:
        found = self.registry.tenants.get(tenant)
        if found is None:
            return Reason.UNKNOWN_ACCOUNT
        return Owner(tenant=found, account=account, storage=storage)


def new_delivery_id(entropy: Entropy, body_digest: bytes = b"") -> str:
    """A random id for one HTTP delivery: it says nothing of what was delivered. Of a seeded source, by the body."""
    drawn_id = drawn(entropy, _DELIVERY_ID_BYTES, "delivery", body_digest, fresh=True)
    return "dlv_" + base64.b32encode(drawn_id).decode().lower()


def take_in(
    changes: Sequence[Change],
    delivery: SignedDelivery,
    *,
    directory: Directory,
    capabilities: Capabilities,
    packer: Packer,
    recent: Container[str] = frozenset(),
) -> Intake:
    """The log entries of a body: a record for each item, a raw body for each change without an owner.

    The delivery index runs over the items of the whole body. Identities acknowledged lately are left out.
    """
    desk = _Desk(delivery=delivery, directory=directory, capabilities=capabilities, packer=packer, recent=recent)
    (intake,) = desk.work_through(changes)
    return intake


def take_raw(body: bytes, delivery: SignedDelivery, *, packer: Packer, reason: Reason, fault: str = "") -> Intake:
    """A signed body kept whole, for the parser failed on it or there is too much in it: see `claim`."""
    whole = Change(account=None, account_group=None, items=(), body=body)
    entry, parcel = _unclaimed_entry(whole, delivery, packer, index=0, number=0)
    parcels = () if parcel is None else (parcel,)
    return Intake(entries=(entry,), parcels=parcels, unclaimed={reason: 1}, faults=(fault,) if fault else ())


def may_be_owned(body: UnclaimedBody, directory: Directory) -> bool:
    """Whether it is worth while to parse an unclaimed body: not where it names an account that nobody owns."""
    app = directory.registry.apps.get(body.app)
    if app is None or app.provider != body.provider:
        return False
    if body.account is UNSET:
        return True
    named = Change(account=body.account, account_group=None, items=(), body=b"")
    return isinstance(directory.owner(app, named), Owner)


def claim(  # noqa: PLR0913 - what was parsed, by whom, for whom, with what, into what
    body: UnclaimedBody,
    changes: Sequence[Change],
    *,
    connector: str,
    directory: Directory,
    capabilities: Capabilities,
    packer: Packer,
    slice_items: int,
) -> Iterator[Intake]:
    """An unclaimed body's changes sealed afresh, with the time and the delivery it came by, a slice at a time.

    Nothing at all while none of them has an owner. Those that have none while others do are kept raw anew, each by
    itself. Where a slice has `faults`, leave the body where it lies, to be tried again. Claiming twice is harmless, or
    after some of the slices only: record ids depend on neither the time nor the connector's version, `connector`.
    """
    app = directory.registry.apps.get(body.app)
    if app is None or not any(isinstance(directory.owner(app, change), Owner) for change in changes):
        return
    desk = _Desk(
        delivery=SignedDelivery(app=app, id=body.delivery.id, received_at=body.received_at, connector=connector),
        directory=directory,
        capabilities=capabilities,
        packer=packer,
        index=body.delivery.index,
        slice_items=slice_items,
    )
    yield from desk.work_through(changes)


@dataclass(slots=True, kw_only=True)
class _Desk:
    """Works through the changes of one body; `index` is its next item's, `number` its change's."""

    delivery: SignedDelivery
    directory: Directory
    capabilities: Capabilities
    packer: Packer
    recent: Container[str] = frozenset()
    index: int = 0
    number: int = 0
    slice_items: int = sys.maxsize
    entries: list[NewEntry] = field(default_factory=list)
    parcels: list[Parcel] = field(default_factory=list)
    accepted: Counter[tuple[str, str]] = field(default_factory=Counter)
    unclaimed: Counter[str] = field(default_factory=Counter)
    identities: dict[str, None] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def work_through(self, changes: Sequence[Change]) -> Iterator[Intake]:
        """What the changes come to, drawn whenever `slice_items` have been sealed, and at the end."""
        for self.number, change in enumerate(changes):
            first = self.index
            owner = self.directory.owner(self.delivery.app, change)
            if isinstance(owner, Owner):
                yield from self._take(owner, change)
            else:
                self._leave(owner, change)
            self.index = first + len(change.items)
            yield from self._drawn_if_full()
        yield self._drawn()

    def _drawn_if_full(self) -> Iterator[Intake]:
        if len(self.entries) >= self.slice_items:
            yield self._drawn()

    def _drawn(self) -> Intake:
        drawn = Intake(
            entries=tuple(self.entries),
            parcels=tuple(self.parcels),
            accepted=dict(self.accepted),
            unclaimed=dict(self.unclaimed),
            identities=tuple(self.identities),
            faults=tuple(self.faults),
        )
        for held in (self.entries, self.parcels, self.accepted, self.unclaimed, self.faults):
            held.clear()
        return drawn

    def _leave(self, reason: Reason, change: Change) -> None:
        self.unclaimed[reason] += 1
        self._add([_unclaimed_entry(change, self.delivery, self.packer, index=self.index, number=self.number)])

    def _take(self, owner: Owner, change: Change) -> Iterator[Intake]:
        first, sealer = self.index, self._sealer(owner)
        for start in range(0, len(change.items), self.slice_items):
            items = change.items[start : start + self.slice_items]
            self.index = first + start
            try:
                records = self._records(sealer, items)
                packed = [self.packer.record(record) for record in records]
            except Exception as error:  # noqa: BLE001 - one change that can't be sealed must not cost its neighbours
                self.faults.append(type(error).__name__)
                self.index = first
                self._leave(Reason.UNREADABLE, change)
                return
            self._add(packed)
            self.accepted.update((owner.tenant.name, record.envelope.kind) for record in records)
            yield from self._drawn_if_full()

    def _add(self, packed: Iterable[tuple[NewEntry, Parcel | None]]) -> None:
        for entry, parcel in packed:
            self.entries.append(entry)
            if parcel is not None:
                self.parcels.append(parcel)

    def _records(self, sealer: Sealer, items: Sequence[Item]) -> list[Record]:
        return [
            sealer.seal(
                item,
                received_at=self.delivery.received_at,
                delivery=Delivery(id=self.delivery.id, index=index, connector=self.delivery.connector),
                origin=Origin.LIVE,
            )
            for index, item in enumerate(items, self.index)
            if item.kind != Kind.IDENTITY or self._is_news(sealer, item)
        ]

    def _sealer(self, owner: Owner) -> Sealer:
        lives = self.capabilities.media_life
        return Sealer(
            tenant=owner.tenant.name,
            key=owner.tenant.key,
            provider=self.delivery.app.provider,
            account=owner.account,
            media_life=lives.get(owner.storage) or min(lives.values()),
            entropy=self.packer.entropy,
        )

    def _is_news(self, sealer: Sealer, item: Item) -> bool:
        """Whether to record an identity. Its fingerprint counts too: a variant is never passed over."""
        if not item.native_key:
            return True
        name = sealer.seen_name(item)
        if name in self.identities or name in self.recent:
            return False
        self.identities[name] = None
        return True


def _unclaimed_entry(
    change: Change, delivery: SignedDelivery, packer: Packer, *, index: int, number: int
) -> tuple[NewEntry, Parcel | None]:
    """Key and headers hold the random delivery id and the app's name: nothing of the body, and no account."""
    app = delivery.app
    body = UnclaimedBody(
        provider=app.provider,
        app=app.name,
        account=UNSET if change.account is None else change.account,
        account_group=UNSET if change.account_group is None else change.account_group,
        received_at=delivery.received_at,
        delivery=Delivery(id=delivery.id, index=index, connector=delivery.connector),
        body=change.body,
    )
    headers = event_headers(
        event_id=f"{delivery.id}.{number}",
        event_type="custody.unclaimed.v1",
        source=f"/{app.provider}/app.{app.name}",
        subject=f"{delivery.id}.{number}",
        time=delivery.received_at,
    )

    def entry_of(body: UnclaimedBody) -> NewEntry:
        return NewEntry(topic=unclaimed_topic().name, key=delivery.id.encode(), headers=headers, value=canonical(body))

    return packer.body(body, entry_of)
