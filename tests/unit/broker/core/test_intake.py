"""From a parsed body to log entries: owners, secrets that vouch for their own, and what nobody owns."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET

from broker.core import codec
from broker.core.identity import TenantKey
from broker.core.intake import (
    Directory,
    Intake,
    Reason,
    RecentIds,
    SignedDelivery,
    claim,
    may_be_owned,
    new_delivery_id,
    take_in,
    take_raw,
)
from broker.core.item import Change, Item, ItemPart, ItemParty
from broker.core.model import Direction, Identity, Kind, Record, UnclaimedBody
from broker.core.parcels import Packer
from broker.core.ports import Capabilities, NewEntry
from broker.core.registry import Account, App, Posture, Registry, Tenant
from broker.core.topics import unclaimed_topic
from broker.core.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
CAPABILITIES = Capabilities(
    erasable=frozenset({"media"}),
    media_life={"default": timedelta(days=7), "no_storage": HOUR},
    text_life={"default": timedelta(days=30), "no_storage": HOUR},
    min_age=timedelta(0),
    media_hosts=(),
    max_part_bytes=1000,
    rate_scope="account",
    read_back="none",
)


def app(name: str, tenant: str) -> App:
    return App(name=name, provider="chat", tenant=tenant, app_id=f"id-{name}", secrets=(b"secret",), verify_token="v")


def account(name: str, **changes: str | Posture) -> Account:
    whole = Account(
        name=name, tenant="acme", app="acme-app", provider="chat", id=f"pn-{name}", group="waba-1", token="t"
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def registry(*accounts: Account) -> Registry:
    return Registry(
        tenants={
            name: Tenant(name=name, zone="UTC", key=TenantKey(name.encode().ljust(32, b".")))
            for name in ("acme", "zen")
        },
        apps={one.name: one for one in (app("acme-app", "acme"), app("zen-app", "zen"))},
        accounts={one.name: one for one in accounts},
    )


def item(number: int, kind: Kind = Kind.MESSAGE, **changes: object) -> Item:
    whole = Item(
        kind=kind,
        type="text",
        direction=Direction.IN,
        native_key=(f"wamid.{number}",),
        thread=("phone", "27821234567"),
        raw=b'{"body":"canary"}',
        counted=b"canary",
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def change(*items: Item, account: str | None = "pn-claims", group: str | None = "waba-1") -> Change:
    return Change(account=account, account_group=group, items=items, body=b'{"canary":27821234567}')


def entropy() -> Callable[[int], bytes]:
    counter = itertools.count()
    return lambda size: hashlib.shake_256(str(next(counter)).encode()).digest(size)


def packer(entry_bytes: int = 1_000_000) -> Packer:
    return Packer(entry_bytes=entry_bytes, entropy=entropy())


def take(
    *changes: Change,
    known: Registry,
    app_name: str = "acme-app",
    recent: RecentIds | None = None,
    entry_bytes: int = 1_000_000,
) -> Intake:
    delivery = SignedDelivery(app=known.apps[app_name], id="dlv_one", received_at=AT, connector="chat/1")
    return take_in(
        changes,
        delivery,
        directory=Directory(known),
        capabilities=CAPABILITIES,
        packer=packer(entry_bytes),
        recent=recent or RecentIds(10),
    )


def records(*intakes: Intake) -> list[Record]:
    return [codec.decode_record(one.value) for intake in intakes for one in intake.entries]


def body_of(entry: NewEntry) -> UnclaimedBody:
    return codec.decode(entry.value, UnclaimedBody)


def test_items_of_a_registered_account_become_records_of_its_tenant() -> None:
    intake = take(change(item(1), item(2, Kind.STATUS)), known=registry(account("claims")))
    first, second = records(intake)
    assert (first.envelope.tenant, first.envelope.account) == ("acme", "pn-claims")
    assert first.arrival.received_at == AT
    assert [one.topic for one in intake.entries] == ["custody.acme.messages.v1", "custody.acme.statuses.v1"]
    assert second.envelope.kind == "status"
    assert intake.accepted == {("acme", "message"): 1, ("acme", "status"): 1}
    assert not intake.unclaimed


def test_the_delivery_index_runs_over_the_items_of_the_whole_body() -> None:
    known = registry(account("claims"), account("sales"))
    changes = (
        change(item(1), item(2)),
        change(item(3), item(4), item(5), account="pn-nobody"),
        change(item(6), account="pn-sales"),
    )
    intake = take(*changes, known=known)
    assert [one.arrival.delivery.index for one in records_only(intake)] == [0, 1, 5]
    assert body_of(intake.entries[2]).delivery.index == 2
    assert all(one.arrival.delivery.id == "dlv_one" for one in records_only(intake))


def records_only(intake: Intake) -> list[Record]:
    return [codec.decode_record(one.value) for one in intake.entries if one.topic != unclaimed_topic().name]


def test_a_change_that_names_only_a_waba_goes_to_the_one_tenant_whose_accounts_lie_in_it() -> None:
    (record,) = records(take(change(item(1), account=None), known=registry(account("claims"))))
    assert (record.envelope.tenant, record.envelope.account) == ("acme", "waba.waba-1")


@pytest.mark.parametrize(
    ("accounts", "group", "reason"),
    [
        ((account("claims"), account("zen", tenant="zen")), "waba-1", Reason.SHARED_GROUP),
        ((account("claims"),), "waba-2", Reason.UNKNOWN_ACCOUNT),
        ((account("zen", tenant="zen", app="zen-app", group="waba-3"),), "waba-3", Reason.FOREIGN_ACCOUNT),
    ],
)
def test_a_waba_without_one_clear_tenant_stays_unclaimed(
    accounts: tuple[Account, ...], group: str, reason: Reason
) -> None:
    intake = take(change(item(1), account=None, group=group), known=registry(*accounts))
    assert intake.unclaimed == {reason: 1}


def test_a_change_that_names_nobody_goes_to_the_tenant_of_the_signing_app() -> None:
    nameless = change(item(1, Kind.GAP, native_key=()), account=None, group=None)
    (record,) = records(take(nameless, known=registry(), app_name="zen-app"))
    assert (record.envelope.tenant, record.envelope.account) == ("zen", "app.zen-app")


def test_an_unknown_account_keeps_its_change_raw_under_unclaimed() -> None:
    intake = take(change(item(1), account="pn-nobody"), known=registry(account("claims")))
    (entry,) = intake.entries
    body = body_of(entry)
    assert entry.topic == unclaimed_topic().name
    assert (body.provider, body.app, body.account, body.account_group) == ("chat", "acme-app", "pn-nobody", "waba-1")
    assert (body.body, body.received_at, body.delivery.connector) == (b'{"canary":27821234567}', AT, "chat/1")
    assert intake.unclaimed == {Reason.UNKNOWN_ACCOUNT: 1}
    assert not intake.accepted


def test_a_secret_vouches_only_for_its_own_apps_accounts() -> None:
    known = registry(account("zen", tenant="zen", app="zen-app"))
    intake = take(change(item(1), account="pn-zen"), known=known, app_name="acme-app")
    assert intake.unclaimed == {Reason.FOREIGN_ACCOUNT: 1}
    assert [one.topic for one in intake.entries] == [unclaimed_topic().name]


def test_keys_and_headers_of_an_unclaimed_body_name_nothing_of_it() -> None:
    (entry,) = take(change(item(1), account="27821234567", group="27820000000"), known=registry()).entries
    shown = repr((entry.topic, entry.key, entry.headers, entry))
    assert not [word for word in ("canary", "27821234567", "27820000000", "wamid") if word in shown]
    assert entry.key == b"dlv_one"


def test_each_change_without_an_owner_is_an_entry_with_an_id_of_its_own() -> None:
    intake = take(change(account="pn-a"), change(account="pn-b"), known=registry())
    ids = [dict(one.headers)["ce_id"] for one in intake.entries]
    assert len(set(ids)) == 2
    assert intake.unclaimed == {Reason.UNKNOWN_ACCOUNT: 2}


@pytest.mark.parametrize(
    ("storage", "life"), [("default", timedelta(days=7)), ("no_storage", HOUR), ("never heard of", HOUR)]
)
def test_a_parts_deadline_follows_from_the_accounts_posture_and_is_never_too_late(
    storage: str, life: timedelta
) -> None:
    photo = item(1, parts=(ItemPart(media_kind="image", mime="image/jpeg", object_id="42"),))
    known = registry(account("claims", posture=Posture(storage=storage)))
    (record,) = records(take(change(photo), known=known))
    assert record.arrival.deadlines[0].fetch_by == AT + life


def test_an_identity_that_the_log_acknowledged_lately_is_left_out() -> None:
    known, recent = registry(account("claims")), RecentIds(10)
    seen = change(item(1, Kind.IDENTITY), item(2))
    first = take(seen, known=known, recent=recent)
    again_unacknowledged = take(seen, known=known, recent=recent)
    recent.mark(first.identities)
    after = take(seen, known=known, recent=recent)
    assert [len(one.entries) for one in (first, again_unacknowledged, after)] == [2, 2, 1]
    assert len(first.identities) == 1
    assert records(after)[0].arrival.delivery.index == 1


def test_an_identity_shown_twice_in_a_body_is_recorded_once_and_a_variant_of_it_too() -> None:
    same = item(1, Kind.IDENTITY)
    other = replace(same, counted=b"another")
    intake = take(change(same, same, other), known=registry(account("claims")))
    assert len(intake.entries) == 2


def test_an_identity_without_a_native_key_is_always_recorded() -> None:
    nameless = item(1, Kind.IDENTITY, native_key=())
    assert len(take(change(nameless, nameless), known=registry(account("claims"))).entries) == 2


def test_messages_of_one_conversation_are_records_of_their_own_though_their_texts_are_the_same() -> None:
    found = records(take(change(*(item(number) for number in range(20))), known=registry(account("claims"))))
    assert len({one.envelope.conversation for one in found}) == 1
    assert len({one.envelope.record_id for one in found}) == 20


def test_a_message_delivered_twice_is_an_entry_each_time() -> None:
    known, recent = registry(account("claims")), RecentIds(10)
    both = [take(change(item(1)), known=known, recent=recent) for _ in range(2)]
    assert len({one.envelope.record_id for intake in both for one in records(intake)}) == 1


def test_a_change_that_cannot_be_sealed_is_kept_raw_and_costs_its_neighbours_nothing() -> None:
    poisoned = change(item(1), item(2, provider_ids=("\ud800",)))
    intake = take(poisoned, change(item(3)), known=registry(account("claims")))
    assert [one.topic for one in intake.entries] == [unclaimed_topic().name, "custody.acme.messages.v1"]
    assert intake.unclaimed == {Reason.UNREADABLE: 1}
    assert intake.accepted == {("acme", "message"): 1}
    assert intake.faults == ("UnicodeEncodeError",)


def test_what_the_log_would_not_take_even_without_its_content_is_kept_raw() -> None:
    crowd = tuple(
        ItemParty(role="participant", identity=Identity(kind="phone", value=str(number))) for number in range(500)
    )
    vast = replace(change(item(1), item(2, parties=crowd)), body=b"canary" * 5_000)
    intake = take(vast, change(item(3)), known=registry(account("claims")), entry_bytes=8_192)
    assert [one.topic for one in intake.entries] == [unclaimed_topic().name, "custody.acme.messages.v1"]
    assert (intake.unclaimed, intake.faults) == ({Reason.UNREADABLE: 1}, ("TooLargeError",))
    assert all(one.size <= 8_192 for one in intake.entries)
    assert [one.data for one in intake.parcels] == [vast.body]


def test_a_body_that_the_parser_failed_on_is_kept_whole() -> None:
    known = registry()
    delivery = SignedDelivery(app=known.apps["acme-app"], id="dlv_one", received_at=AT, connector="chat/1")
    intake = take_raw(b"\xff\x00", delivery, packer=packer(), reason=Reason.UNREADABLE, fault="KeyError")
    assert body_of(intake.entries[0]).body == b"\xff\x00"
    assert (intake.unclaimed, intake.faults) == ({Reason.UNREADABLE: 1}, ("KeyError",))


def claimed(body: UnclaimedBody, known: Registry, *parsed: Change, slice_items: int = 1000) -> list[Intake]:
    slices = claim(
        body,
        parsed,
        connector="chat/2",
        directory=Directory(known),
        capabilities=CAPABILITIES,
        packer=packer(),
        slice_items=slice_items,
    )
    return list(slices)


def test_a_claimed_body_gives_the_records_it_would_have_given_at_once() -> None:
    late = change(item(7), item(8, Kind.GAP, native_key=()), account="pn-late")
    changes = (change(item(1)), late)
    body = body_of(take(*changes, known=registry(account("claims"))).entries[1])
    known = registry(account("claims"), account("late"))
    at_once, later = records(take(*changes, known=known))[1:], records(*claimed(body, known, late))
    assert [one.envelope.record_id for one in later] == [one.envelope.record_id for one in at_once]
    assert [one.arrival.delivery.index for one in later] == [1, 2]
    assert {(one.arrival.received_at, one.arrival.delivery.id) for one in later} == {(AT, "dlv_one")}
    assert {one.arrival.delivery.connector for one in later} == {"chat/2"}


@pytest.mark.parametrize("slice_items", [1, 3, 4, 100])
def test_slices_give_the_records_that_all_at_once_would_give(slice_items: int) -> None:
    kinds = (Kind.MESSAGE, Kind.GAP, Kind.STATUS)
    many = [
        item(number, kinds[number % 3], native_key=() if number % 3 == 1 else (str(number),)) for number in range(20)
    ]
    changes = (change(*many[:11]), change(*many[11:13], account="pn-nobody"), change(*many[13:]))
    known = registry(account("claims"))
    body = body_of(take(*changes, known=registry()).entries[0])
    slices = claimed(body, known, *changes, slice_items=slice_items)
    at_once = take(*changes, known=known)
    found = [one for intake in slices for one in intake.entries]
    ids = [(one.topic, dict(one.headers)["ce_id"]) for one in found]
    assert ids == [(one.topic, dict(one.headers)["ce_id"]) for one in at_once.entries]
    assert max(len(one.entries) for one in slices) < 2 * slice_items
    assert sum((Counter(one.accepted) for one in slices), Counter()) == at_once.accepted


def test_what_nobody_owns_beside_what_somebody_does_is_kept_raw_by_itself() -> None:
    changes = (change(item(1)), change(item(2), item(3), account="pn-nobody"))
    whole = body_of(take(change(item(9), account=None, group=None), known=nobody()).entries[0])
    (intake,) = claimed(whole, registry(account("claims")), *changes)
    assert intake.accepted == {("acme", "message"): 1}
    left = body_of(intake.entries[1])
    assert (left.account, left.delivery.id, left.delivery.index) == ("pn-nobody", "dlv_one", 1)
    assert claimed(left, registry(account("claims")), changes[1]) == []


def nobody() -> Registry:
    return replace(registry(), tenants={})


def test_a_fault_in_one_slice_leaves_the_change_raw_once_and_says_so() -> None:
    many = [item(number) for number in range(6)]
    changes = (change(*many[:2], item(7, provider_ids=("\ud800",)), *many[2:]), change(item(8)))
    body = body_of(take(*changes, known=registry()).entries[0])
    slices = claimed(body, registry(account("claims")), *changes, slice_items=1)
    assert [one for intake in slices for one in intake.faults] == ["UnicodeEncodeError"]
    raw = [one for intake in slices for one in intake.entries if one.topic == unclaimed_topic().name]
    assert [body_of(one).delivery.index for one in raw] == [0]
    assert [one.arrival.delivery.index for intake in slices for one in records_only(intake)] == [0, 1, 7]


def test_only_a_body_that_may_have_an_owner_is_worth_parsing() -> None:
    body = body_of(take(change(item(1), account="pn-nobody"), known=registry()).entries[0])
    known = Directory(registry(account("claims"), account("nobody")))
    assert may_be_owned(body, known)
    assert may_be_owned(replace(body, account=UNSET), Directory(registry()))
    assert not may_be_owned(body, Directory(registry(account("claims"))))
    assert not may_be_owned(replace(body, app="gone"), known)
    assert not may_be_owned(replace(body, provider="other"), known)
    assert claimed(replace(body, app="gone"), registry(), change(item(1))) == []


def test_a_directory_is_built_once_for_each_registry_value() -> None:
    known = registry(account("claims"))
    directory = Directory(known)
    assert directory.renew(known) is directory
    assert directory.renew(registry()) is not directory


def test_an_account_whose_tenant_is_not_registered_has_no_owner() -> None:
    known = registry(account("claims", tenant="nobody"))
    assert take(change(item(1)), known=known).unclaimed == {Reason.UNKNOWN_ACCOUNT: 1}


def test_recent_ids_forget_the_least_recently_used_first() -> None:
    recent = RecentIds(2)
    recent.mark(("a", "b"))
    assert "a" in recent
    recent.mark(("c",))
    assert [name in recent for name in ("a", "b", "c")] == [True, False, True]


def test_a_delivery_id_comes_from_the_entropy_alone() -> None:
    assert new_delivery_id(lambda size: b"\0" * size) == "dlv_" + "a" * 24


def test_a_body_that_names_only_a_waba_can_be_read_back() -> None:
    body = body_of(take(change(item(1), account=None), known=registry()).entries[0])
    assert (body.account, body.account_group) == (UNSET, "waba-1")
