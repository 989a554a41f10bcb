"""Ids, pseudonyms and digests: known answers, so that they never drift between versions."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from broker.core import identity
from broker.core.codec import canonical, decode_record
from broker.core.errors import MalformedEntryError
from broker.core.identity import TenantKey
from broker.core.model import (
    Arrival,
    Content,
    Deadline,
    Delivery,
    Envelope,
    Part,
    Party,
    Position,
    ProviderObject,
    Record,
    Relation,
)

KEY = TenantKey(bytes(range(32)))
NUMBER = "106540352242922"

ENVELOPE = Envelope(
    record_id="rec_a",
    tenant="acme",
    account="1",
    provider="whatsapp_cloud",
    kind="message",
    type="text",
    direction="in",
    conversation="cnv_a",
    content_digest="00",
    parties=(Party(role="sender", identity="phone", pseudonym="pty_a"),),
    relations=(Relation(kind="replies_to", record_id="rec_b"),),
    occurred_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    parts=(
        Part(number=1, media_kind="image", mime="image/jpeg", size=7),
        Part(number=2, media_kind="image", mime="image/png"),
    ),
    objects=(ProviderObject(kind="media", target_id="tgt_a", part=1),),
)
ARRIVAL = Arrival(
    received_at=datetime(2026, 1, 2, 3, 4, 6, 500000, tzinfo=UTC),
    delivery=Delivery(id="d", index=0, connector="whatsapp_cloud/1"),
    deadlines=(Deadline(part=1, fetch_by=datetime(2026, 1, 9, 3, 4, 5, tzinfo=UTC)),),
    position=Position(log="l", topic="custody.acme.messages.v1", partition=3, offset=9),
)


def test_ids_and_pseudonyms_have_known_answers() -> None:
    provider = "whatsapp_cloud"
    assert (
        KEY.record_id(provider=provider, account=NUMBER, kind="message", native_key=("wamid.A",))
        == "rec_keq2gtuelrnzzv2zrh3iopweiurhbbof"
    )
    assert (
        KEY.conversation(provider=provider, account=NUMBER, thread=("phone", "27605550101"))
        == "cnv_atnrqftzgteoofq2ygev4w3tlt3rlidw"
    )
    assert KEY.party(identity="phone", value="27605550101") == "pty_6behkzdhbi4acwypxcqzyanrkktjylba"
    assert (
        KEY.target_id(provider=provider, account=NUMBER, object_kind="media", object_id="1003383421387256")
        == "tgt_aqpcllrs5gvlw3fnnsngogd762y2nb6f"
    )
    assert KEY.fingerprint(b'{"a":1}').hex() == "7e3adeda387065fa7451a5e9205bd69aec974b517b2a30f46de020c6666a85df"
    assert identity.variant_id("rec_a", bytes(32)) == "var_ezfjcvcghnatabujpatbtlhxjwcqlhxl"


def test_a_record_id_is_the_documented_hmac() -> None:
    framed = b"custody/record-id/v1\0"
    for text in ("whatsapp_cloud", NUMBER, "message", "wamid.A"):
        framed += len(text).to_bytes(4, "big") + text.encode()
    digest = hmac.new(bytes(range(32)), framed, hashlib.sha256).digest()[:20]
    found = KEY.record_id(provider="whatsapp_cloud", account=NUMBER, kind="message", native_key=("wamid.A",))
    assert found == "rec_" + base64.b32encode(digest).decode().lower()


def test_digests_have_known_answers() -> None:
    assert (
        identity.content_digest(salt=bytes(32), data=b"{}")
        == "c9f8c6ae18de948df162935b6fa231095f678b974a6169e204e7266ca806bab2"
    )
    assert (
        identity.record_digest(canonical(ENVELOPE)).hex()
        == "72cca6befb655b98a943fed8ae940b4a1083f46b20e26ca9376be8cf1641b139"
    )
    assert (
        identity.arrival_digest(canonical(ARRIVAL)).hex()
        == "09e3bed3734c1a776405ea2981405adaad3e7cdaf5defe7622f4f5c078bd99c8"
    )


def test_the_canonical_envelope_is_sorted_ascii_without_absent_fields() -> None:
    assert canonical(ENVELOPE) == (
        b'{"account":"1","content_digest":"00","conversation":"cnv_a","direction":"in","kind":"message",'
        b'"objects":[{"kind":"media","part":1,"target_id":"tgt_a"}],"occurred_at":"2026-01-02T03:04:05Z",'
        b'"parties":[{"identity":"phone","pseudonym":"pty_a","role":"sender"}],'
        b'"parts":[{"media_kind":"image","mime":"image/jpeg","number":1,"size":7},'
        b'{"media_kind":"image","mime":"image/png","number":2}],"provider":"whatsapp_cloud","record_id":"rec_a",'
        b'"relations":[{"kind":"replies_to","record_id":"rec_b"}],"schema":"custody/record/v1","tenant":"acme",'
        b'"type":"text"}'
    )


def test_fields_can_not_run_into_each_other() -> None:
    assert KEY.digest("l", ("ab", "c")) != KEY.digest("l", ("a", "bc"))
    assert KEY.digest("l", ("a", "")) != KEY.digest("l", ("a",))
    assert KEY.digest("l", ("a",)) != KEY.digest("m", ("a",))


def test_a_lone_surrogate_in_a_native_key_is_no_obstacle() -> None:
    assert KEY.record_id(provider="p", account="a", kind="k", native_key=("\ud800",)).startswith("rec_")


def test_a_key_never_shows_itself() -> None:
    assert repr(TenantKey(b"k" * 32)) == "TenantKey(…)"


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        TenantKey(b"short")


def test_a_record_reads_back_as_written_and_newer_fields_do_no_harm() -> None:
    record = Record(
        envelope=ENVELOPE,
        arrival=ARRIVAL,
        content=Content(encoding="x", data=b'{"a":"\\u0000\\ud800"}\xff\x00'),
        fingerprint=bytes(32),
    )
    encoded = canonical(record)
    assert decode_record(encoded) == record
    newer = encoded.replace(b'"kind":"message"', b'"brand_new":[1],"kind":"hologram"')
    assert decode_record(newer).envelope.kind == "hologram"


def test_a_decode_error_quotes_nothing() -> None:
    with pytest.raises(MalformedEntryError) as caught:
        decode_record(b'{"envelope": "+27605550101"}')
    assert "27605550101" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_content_stays_out_of_repr() -> None:
    record = Record(
        envelope=ENVELOPE,
        arrival=ARRIVAL,
        content=Content(encoding="x", data=b"secret"),
        fingerprint=b"fingerprint",
    )
    assert "secret" not in repr(record)
    assert "fingerprint'" not in repr(record)
