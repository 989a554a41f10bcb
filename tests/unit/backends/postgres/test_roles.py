"""A password becomes its verifier before it leaves the process."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from backends.postgres.roles import scram_verifier
from broker.core.errors import SettingsError

# Source: https://www.rfc-editor.org/rfc/rfc7677#section-3 (2015-11).
NONCE = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
MESSAGE = f"n=user,r={NONCE[:20]},r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={NONCE}".encode()
PROOF = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
SIGNATURE = base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def test_the_verifier_stands_the_standards_example() -> None:
    verifier = scram_verifier("pencil", salt=base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    head, keys = verifier.rsplit("$", 1)
    assert head == "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    stored, server = (base64.b64decode(one) for one in keys.split(":"))
    mask = hmac.digest(stored, MESSAGE, "sha256")
    assert hashlib.sha256(bytes(a ^ b for a, b in zip(PROOF, mask, strict=True))).digest() == stored
    assert hmac.digest(server, MESSAGE, "sha256") == SIGNATURE


@pytest.mark.parametrize("password", ["", "pässword", "tab\there", "nul\0"])
def test_a_password_that_normalising_would_change_is_refused(password: str) -> None:
    with pytest.raises(SettingsError, match="printable ASCII"):
        scram_verifier(password, salt=b"salt")
