"""The signature over the raw body."""

from __future__ import annotations

import hmac

import pytest

from connectors.whatsapp_cloud.signature import claimed_digest, is_signed

SECRET = b"test_app_secret"
COMPACT = b'{"object":"whatsapp_business_account","entry":[]}'
SPACED = b'{"object": "whatsapp_business_account", "entry": []}'
COMPACT_SIGNATURE = "dec6a680679a968e7e0319355b23599cbfc54502c0784668e9618baa0c633756"
SPACED_SIGNATURE = "56cbbaf4961c6cfdae48b7f116c047e5eb513d2c931baae63a2bc1afd26f803a"


@pytest.mark.parametrize(("body", "signature"), [(COMPACT, COMPACT_SIGNATURE), (SPACED, SPACED_SIGNATURE)])
def test_known_answers_hold(body: bytes, signature: str) -> None:
    digest = claimed_digest([f"sha256={signature}"])
    assert digest is not None
    assert is_signed(body, digest, [SECRET])


def test_the_signature_of_the_same_json_in_other_bytes_does_not_hold() -> None:
    assert not is_signed(SPACED, bytes.fromhex(COMPACT_SIGNATURE), [SECRET])


@pytest.mark.parametrize("secrets", [(SECRET, b"new"), (b"new", SECRET), (b"old", SECRET, b"new")])
def test_every_live_secret_vouches_while_one_is_rotated(secrets: tuple[bytes, ...]) -> None:
    assert is_signed(COMPACT, bytes.fromhex(COMPACT_SIGNATURE), secrets)


def test_a_retired_secret_no_longer_vouches() -> None:
    assert not is_signed(COMPACT, bytes.fromhex(COMPACT_SIGNATURE), [b"new"])


def test_all_secrets_are_tried_also_after_one_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []
    digest = hmac.digest

    def counting(key: bytes, message: bytes, name: str) -> bytes:
        tried.append(key)
        return digest(key, message, name)

    monkeypatch.setattr(hmac, "digest", counting)
    assert is_signed(COMPACT, bytes.fromhex(COMPACT_SIGNATURE), [SECRET, b"new"])
    assert tried == [SECRET, b"new"]


def test_no_secret_and_an_empty_secret_vouch_for_nothing() -> None:
    assert not is_signed(COMPACT, bytes.fromhex(COMPACT_SIGNATURE), [])
    assert not is_signed(COMPACT, hmac.digest(b"", COMPACT, "sha256"), [b""])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        [COMPACT_SIGNATURE],
        [f"sha1={COMPACT_SIGNATURE}"],
        [f"sha256={COMPACT_SIGNATURE[:-1]}"],
        [f"sha256={COMPACT_SIGNATURE}0"],
        [f"sha256={COMPACT_SIGNATURE}\n"],
        [f"sha256={'é' * 64}"],
        [f"sha256={'٣' * 64}"],
        [f"sha256={COMPACT_SIGNATURE}", f"sha256={COMPACT_SIGNATURE}"],
    ],
)
def test_a_missing_malformed_or_repeated_header_claims_nothing(headers: list[str]) -> None:
    assert claimed_digest(headers) is None


def test_the_case_of_the_hex_does_not_matter() -> None:
    assert claimed_digest([f"SHA256={COMPACT_SIGNATURE.upper()}"]) == bytes.fromhex(COMPACT_SIGNATURE)
