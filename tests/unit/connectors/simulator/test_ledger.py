from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.simulator import reports
from connectors.simulator.draft import Entry
from connectors.simulator.ledger import Ledger, Media, Sending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_000.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "truth.sqlite")
    yield made
    made.close()


def sending(ledger: Ledger) -> Sending:
    return Sending(
        parcel=ledger.next_parcel(), account="106", field="messages", digest="d", inbound=True, subscribed=True
    )


def entry(message_id: str, *, media: str | None = None, variant: bool = False) -> Entry:
    return Entry(
        kind="message",
        type="image",
        direction="in",
        key=(message_id,),
        timestamp=900,
        media=media,
        variant=variant,
    )


def photo(media_id: str, *, expires_at: float = 2_000.0, gone: bool = False) -> Media:
    return Media(
        id=media_id,
        account="106",
        source="webhook",
        mime="image/jpeg",
        size=10,
        sha256=b"\x01" * 32,
        announced=b"\x01" * 32,
        made_at=900.0,
        expires_at=expires_at,
        gone=gone,
    )


def test_truth_tells_deliveries_by_the_providers_own_key(ledger: Ledger) -> None:
    sent = sending(ledger)
    ledger.sent(sent, [(entry("wamid.1", media="5"), 2_000.0)])
    ledger.attempted([sent.parcel], delivered=False, at=1.0)
    ledger.attempted([sent.parcel], delivered=True, at=2.0)
    ledger.attempted([sent.parcel], delivered=True, at=3.0)
    ledger.commit()

    (row,) = reports.truth(ledger.path)

    assert row == {
        "seq": 1,
        "parcel": 1,
        "account": "106",
        "field": "messages",
        "kind": "message",
        "type": "image",
        "direction": "in",
        "key": ["wamid.1"],
        "timestamp": 900,
        "media": "5",
        "held_until": 2_000.0,
        "variant": False,
        "note": None,
        "digest": "d",
        "inbound": True,
        "subscribed": True,
        "attempts": 3,
        "deliveries": 2,
        "delivered": True,
        "dropped": False,
        "delivered_at": 2.0,
    }


def test_a_message_is_held_once_and_until_its_time(ledger: Ledger) -> None:
    for held_until, variant in ((2_000.0, False), (2_000.0, True)):
        ledger.sent(sending(ledger), [(entry("wamid.1", variant=variant), held_until)])
    ledger.commit()

    (held,) = reports.held(ledger.path, now=NOW)
    assert (held["object"], held["id"], held["until"], held["delivered"]) == ("message", "wamid.1", 2_000.0, False)
    assert list(reports.held(ledger.path, now=2_000.0)) == []


def test_media_are_held_until_deleted_or_expired(ledger: Ledger) -> None:
    for media in (photo("kept"), photo("deleted"), photo("over", expires_at=999.0), photo("gone", gone=True)):
        ledger.media_made(media)
    ledger.media_deleted("deleted", account="106", at=NOW, erased=True)
    ledger.media_deleted("gone", account="106", at=NOW, erased=False)
    ledger.commit()

    assert [row["id"] for row in reports.held(ledger.path, now=NOW)] == ["kept"]
    assert [(row["media"], row["outcome"]) for row in reports.deletes(ledger.path)] == [
        ("deleted", "erased"),
        ("gone", "absent"),
    ]
    deleted = ledger.media("deleted")
    assert deleted is not None
    assert deleted.deleted_at == NOW


def test_media_are_delivered_when_what_names_them_was(ledger: Ledger) -> None:
    ledger.media_made(photo("5"))
    sent = sending(ledger)
    ledger.sent(sent, [(entry("wamid.1", media="5"), None)])
    ledger.commit()
    assert next(reports.media(ledger.path))["delivered"] is False

    ledger.attempted([sent.parcel], delivered=True, at=NOW)
    ledger.commit()
    row = next(reports.media(ledger.path))
    assert (row["delivered"], row["sha256"], row["digest_wrong"]) == (True, "01" * 32, False)


def test_the_contact_book_forgets_once(ledger: Ledger) -> None:
    ledger.contact_noted("106", user_id="ZA.1", phone="27")

    assert ledger.contact_deleted("106", user_id="ZA.1", phone=None)
    assert not ledger.contact_deleted("106", user_id="ZA.1", phone=None)


def test_a_report_can_be_left_early(ledger: Ledger) -> None:
    for number in range(10):
        ledger.sent(sending(ledger), [(entry(f"wamid.{number}"), None)])
    ledger.commit()

    rows = reports.truth(ledger.path)
    next(rows)
    rows.close()  # type: ignore[attr-defined]
