"""Logins: writers, who add to a store, and readers, who see one tenant."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from backends.postgres.connections import connect
from backends.postgres.errors import guarded
from backends.postgres.sql import ADMIN_LOCK, READER, Schema
from broker.core.errors import SettingsError, StoreUnavailableError
from broker.core.topics import TENANT_PATTERN

_CONNECT_SECONDS = 10.0
_SALT_BYTES = 16
_ITERATIONS = 4096
_LONGEST_NAME_BYTES = 63
_PRINTABLE = range(0x20, 0x7F)


async def ensure_writer(admin_dsn: str, role: str, password: str, *, schema: Schema) -> None:
    """Makes a login that adds to a store, or gives it this password; one login may serve several stores.

    `StoreUnavailableError`: the server does not answer, or refuses the administrator. `SettingsError`: a name or a
    password that a server would not take as it is.
    """
    work = _ensure(admin_dsn, role, password, group=schema.writer, privileges="CONNECT, TEMPORARY")
    await guarded(work, StoreUnavailableError)


async def ensure_reader(admin_dsn: str, tenant: str, password: str) -> str:
    """Makes the login that sees one tenant's rows, or gives it this password; returns its name. Raises likewise."""
    if not TENANT_PATTERN.fullmatch(tenant):
        raise SettingsError([f"tenant {tenant!r}: 1 to 40 of a-z, 0-9 and '-', not at the ends; such as acme-life"])
    role = f"{READER}_{tenant}"
    await guarded(_ensure(admin_dsn, role, password, group=READER, privileges="CONNECT"), StoreUnavailableError)
    return role


async def _ensure(admin_dsn: str, role: str, password: str, *, group: str, privileges: str) -> None:
    name, verifier = _identifier(role), scram_verifier(password, salt=secrets.token_bytes(_SALT_BYTES))
    connection = await connect(admin_dsn, timeout=_CONNECT_SECONDS)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", ADMIN_LOCK)
            there = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
            verb = "ALTER" if there else "CREATE"
            await connection.execute(f"{verb} ROLE {name} LOGIN PASSWORD '{verifier}'")
            # Never SET: as the group itself a session would be under rules that were made for nobody.
            await connection.execute(f"GRANT {group} TO {name} WITH INHERIT TRUE, SET FALSE")
            database = _identifier(await connection.fetchval("SELECT current_database()"))
            await connection.execute(f"GRANT {privileges} ON DATABASE {database} TO {name}")
    finally:
        await connection.close()


def scram_verifier(password: str, *, salt: bytes) -> str:
    """What Postgres keeps of a password: made here, so that no statement ever carries the password itself.

    Source: https://www.rfc-editor.org/rfc/rfc5802#section-3 and
    https://www.postgresql.org/docs/18/catalog-pg-authid.html.
    """
    if not password or any(ord(character) not in _PRINTABLE for character in password):
        raise SettingsError(["a database password: printable ASCII, at least one character; such as 40 hex digits"])
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${_ITERATIONS}:{_base64(salt)}${_base64(stored)}:{_base64(server)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _identifier(name: str) -> str:
    """A role's or database's name as SQL wants it."""
    if not 0 < len(name.encode()) <= _LONGEST_NAME_BYTES or "\0" in name:
        raise SettingsError([f"a role's name: 1 to {_LONGEST_NAME_BYTES} bytes; such as custody_app"])
    return '"' + name.replace('"', '""') + '"'
