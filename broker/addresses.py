"""Addresses as people write them: what is wrong with one, told without quoting any of it."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

DSN_EXAMPLE = "postgresql://custody:secret@127.0.0.1:5432/custody"
MONGO_EXAMPLE = "mongodb://custody:secret@127.0.0.1:27017/custody?replicaSet=rs0"

_LAST_PORT = 65535
_NOT_AN_ADDRESS = "is not an address: quote what is special in its password as %XX"
_BROKER = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\s\[\]:/@]+):([0-9]{1,5})")
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\s\[\]:/@,%]+)(?::([0-9]{1,5}))?")
_QUOTED = r"(?:[^\s:/?#\[\]@%]|%[0-9a-fA-F]{2})"
_LOGIN = re.compile(rf"{_QUOTED}+(?::{_QUOTED}*)?")
_MONGO = re.compile(
    r"mongodb(?:\+srv)?://(?:(?P<login>[^/?#]*)@)?(?P<hosts>[^/?#@]*)(?:/(?P<database>[^?#/]*))?(?:\?[^#]*)?"
)
# Source: https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions, 2026-11
_DATABASE = re.compile(r"[^/\\. \"$*<>:|?\x00%]{1,63}")
_MONGOS_OWN = frozenset({"admin", "local", "config"})


def _split(value: object) -> object:
    """`a, b` as a list, as it is written in an environment."""
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


def dsn_fault(dsn: str) -> str | None:
    """What is wrong with a Postgres address; None when it can be one."""
    try:
        parts = urlsplit(dsn)
        port = parts.port
    except ValueError:
        return _NOT_AN_ADDRESS
    if parts.scheme not in {"postgresql", "postgres"}:
        return "is not a postgresql:// address"
    if not parts.hostname and "host=" not in parts.query:
        return "names no host"
    if not parts.path.strip("/") or port == 0:
        return "names no database"
    return None


def uri_fault(uri: str, *, database: bool = True) -> str | None:
    """What is wrong with a MongoDB address; None when it can be one. An administrator's may leave out the database."""
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        return "is not a mongodb:// or mongodb+srv:// address"
    found = _MONGO.fullmatch(uri)
    if found is None or (found["login"] is not None and not _LOGIN.fullmatch(found["login"])):
        return _NOT_AN_ADDRESS
    if not found["hosts"]:
        return "names no host"
    hosts = [_HOST.fullmatch(one) for one in found["hosts"].split(",")]
    if not all(one is not None and (one[1] is None or 0 < int(one[1]) <= _LAST_PORT) for one in hosts):
        return _NOT_AN_ADDRESS
    return _database_fault(found["database"] or "") if database else None


def mongo_database(uri: str) -> str:
    """The database that a MongoDB address names; empty where it names none, or is none."""
    found = _MONGO.fullmatch(uri)
    return (found["database"] or "") if found else ""


def mongo_login(uri: str) -> str:
    """`user:password` of a MongoDB address, quoted as it stands there; empty where it has none."""
    found = _MONGO.fullmatch(uri)
    return (found["login"] or "") if found else ""


def mongo_hosts(uri: str) -> tuple[str, ...]:
    """Each host:port that a MongoDB address names."""
    found = _MONGO.fullmatch(uri)
    return tuple(found["hosts"].split(",")) if found else ()


def is_broker(address: str) -> bool:
    """Whether it is host:port, an IPv6 address in brackets."""
    found = _BROKER.fullmatch(address)
    return found is not None and 0 < int(found[1]) <= _LAST_PORT


def is_url(url: str) -> bool:
    """Whether it is the http or https address of a server, with no login and no query in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and plain


def is_origin(url: str) -> bool:
    """Whether it is such an address, with no path."""
    return is_url(url) and urlsplit(url).path in {"", "/"}


def _database_fault(name: str) -> str | None:
    if not name:
        return "names no database"
    if name in _MONGOS_OWN:
        return "names a database that is MongoDB's own"
    return None if _DATABASE.fullmatch(name) else "names a database by a name that MongoDB does not take"
