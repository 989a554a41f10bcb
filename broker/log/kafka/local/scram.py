"""SCRAM credentials as Kafka's formatter takes them: in its command line.

What stands there while the formatter runs is not the password, and yet as good as it to whoever can list this machine's
processes: the client's key follows from the salted password (RFC 5802, section 3). So logins of a local cluster are for
tests, and guard nothing on a machine that others use.
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.log.kafka.local.options import Login

_ITERATIONS = 4096  # Source: https://kafka.apache.org/43/security/authentication-using-sasl/, 2026-11: the least
_SALT_BYTES = 16


def scram_argument(login: Login) -> str:
    """The value of `--add-scram` for one user: salted and stretched, as RFC 5802 says."""
    salt = os.urandom(_SALT_BYTES)
    digest = login.mechanism.removeprefix("scram-").replace("-", "")
    salted = hashlib.pbkdf2_hmac(digest, login.password.encode(), salt, _ITERATIONS)
    words = {
        "name": login.user,
        "iterations": str(_ITERATIONS),
        "salt": _quoted(salt),
        "saltedpassword": _quoted(salted),
    }
    return f"{login.mechanism.upper()}=[{','.join(f'{name}={value}' for name, value in words.items())}]"


def _quoted(value: bytes) -> str:
    return f'"{base64.b64encode(value).decode()}"'
