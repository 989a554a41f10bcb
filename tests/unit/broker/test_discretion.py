"""What may be told, and what is left out."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.discretion import LEFT_OUT, Discretion

TOLD = [
    "partition stopped",
    "rec_kq3nf2xw5d7yzr4tjm6pbhcvea2gsuol",
    "tgt_22345672345672345672345672345672",
    "2026-11-23T20:54:01.123456Z",
    "at 2026-11-23 20:54 in custody.acme-life.messages.v1[3]",
    "listening on 127.0.0.1:25432",
    "custody.acme.messages.v1[0]: the store is at offset 123456789, and goes on",
    "broker/log/postgres/appending.py:123 append",
    "DeadLetterLimitError",
    "CUSTODY_LOG__DSN",
]
NOT_TOLD = [
    "27821234567",
    "+27 82 123 4567",
    "(082) 123-4567",
    "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=",
    base64.b64encode(b"27821234567").decode(),
    b"27821234567".hex(),
    "EAAGm0PX4ZCpsBAKZCZBZC1234",
    "US.13491208655302741918",
    "someone@example.org",
]


@pytest.mark.parametrize("text", TOLD)
def test_what_custody_speaks_of_is_told(text: str) -> None:
    assert Discretion().text(text) == text


@pytest.mark.parametrize("text", NOT_TOLD)
def test_what_could_be_content_is_left_out(text: str) -> None:
    told = Discretion().text(f"failed for {text}, try again")
    assert text not in told
    assert LEFT_OUT in told
    assert told.endswith("try again")


def test_a_login_is_left_out_of_an_address() -> None:
    assert Discretion().text("postgresql://custody:hunter2@db/custody") == f"postgresql://{LEFT_OUT}db/custody"


def test_registered_ids_are_told() -> None:
    discretion = Discretion()
    discretion.permit(["106540352242922"])
    assert discretion.text("account 106540352242922, not 106540352242923") == (
        f"account 106540352242922, not {LEFT_OUT}"
    )


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("count", 5, 5),
        ("offset", 10**15, 10**15),
        ("size_bytes", 10**12, 10**12),
        ("number", 27821234567, LEFT_OUT),
        ("ready", True, True),
        ("seconds", 0.5, 0.5),
        ("why", None, None),
        ("body", b"27821234567", "[bytes]"),
        ("item", {"text": "hello"}, "[dict]"),
        ("error", ValueError("27821234567"), "[ValueError]"),
        ("errors", ["KeyError", "27821234567"], ["KeyError", LEFT_OUT]),
    ],
)
def test_values_are_told_by_what_they_are(name: str, value: object, told: object) -> None:
    assert Discretion().value(name, value) == told


@given(before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_phone_number_never_passes_whatever_stands_around_it(before: str, after: str) -> None:
    if not (before[-1:].isalnum() or after[:1].isalnum()):
        assert "27821234567" not in Discretion().text(f"{before}27821234567{after}")
