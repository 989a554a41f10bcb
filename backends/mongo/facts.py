"""What a login is told of the server, the schema, and of itself. What it may not ask about is None."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

from backends.mongo.administering import administer
from backends.mongo.migrate import applied_versions, lacking
from backends.mongo.roles import KEPT_FOR_GOOD
from broker.core.errors import CustodyError

if TYPE_CHECKING:
    from backends.mongo.administering import Client, Database

    Document: TypeAlias = dict[str, Any]

NEVER_SLOW_MILLISECONDS = 2**31 - 1
"""Nothing takes longer: the most that `slowms` can be.

Source: https://www.mongodb.com/docs/manual/reference/program/mongod/, --slowms, 2026-11
"""
_BAD_VALUE = 2
_TAKING_AWAY = frozenset({"update", "remove", "dropCollection", "dropDatabase", "collMod", "convertToCapped"})
_LOCAL = re.compile(r"localhost|127\.[\d.]+|\[?::1\]?")
_LOGIN = re.compile(r"(?<=://)[^/?#]*@")
_LOGIN_OPTIONS = re.compile(r"(?i)(?<=[?&])auth(source|mechanism|mechanismproperties)=[^&]*&?")
_TLS = re.compile(r"(?i)[?&](?:tls|ssl)=(true|false)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a login was told.

    Attributes:
        is_set: a replica set, or a cluster of several.
        members: how many of the set keep data; None of a cluster.
        arbiters: how many vote and keep nothing.
        feature_version: of the newest MongoDB whose features are allowed, such as (6, 0).
        is_journaled: whether what was acknowledged is in a journal on the disk.
        majority_is_journaled: whether a majority counts only those that have it in their journal.
        default_write_concern: `w` for those who ask for nothing.
        versions: the schema's steps that were applied.
        lacking: what the schema has, and the database has not.
        quotes_from_milliseconds: operations that take as long are in the server's log, with what they carry; None of a
            server that leaves out what they carry, or does not say.
        is_profiling: whether a profiler keeps operations, with what they carry.
        may_take_away: whether the login could change or delete what was kept.
        lets_anybody_in: whether documents are shown to who has no login.
        is_encrypted: whether the connection is by TLS.
        is_local: whether every member is on this machine.
    """

    is_set: bool
    members: int | None
    arbiters: int
    feature_version: tuple[int, ...] | None
    is_journaled: bool | None
    majority_is_journaled: bool | None
    default_write_concern: int | str | None
    versions: Mapping[int, str] | None
    lacking: Sequence[str] | None
    quotes_from_milliseconds: int | None
    is_profiling: bool
    may_take_away: bool
    lets_anybody_in: bool
    is_encrypted: bool
    is_local: bool


async def read_facts(uri: str, *, connect_timeout_seconds: float) -> Facts:
    """Asks for them. Raises StoreUnavailableError and SettingsError as `administer` does."""
    open_to_all = await _lets_anybody_in(uri, connect_timeout_seconds)

    async def ask(client: Client) -> Facts:
        database = client.get_default_database("custody")
        hello = await client.admin.command("hello")
        config = (await _told(client.admin, {"replSetGetConfig": 1})).get("config", {})
        feature = await _told(client.admin, {"getParameter": 1, "featureCompatibilityVersion": 1})
        concern = (await _told(client.admin, {"getDefaultRWConcern": 1})).get("defaultWriteConcern", {})
        redacted = await _told(client.admin, {"getParameter": 1, "redactClientLogData": 1})
        profile = await _told(database, {"profile": -1})
        hosts = [*hello.get("hosts", ()), *hello.get("passives", ())]
        return Facts(
            is_set="setName" in hello or hello.get("msg") == "isdbgrid",
            members=len(hosts) if "setName" in hello else None,
            arbiters=len(hello.get("arbiters", ())),
            feature_version=_version(feature.get("featureCompatibilityVersion", {}).get("version")),
            is_journaled=await _is_journaled(database),
            majority_is_journaled=config.get("writeConcernMajorityJournalDefault"),
            default_write_concern=concern.get("w"),
            versions=await _versions(database),
            lacking=await _lacking(database),
            quotes_from_milliseconds=None if redacted.get("redactClientLogData") else profile.get("slowms"),
            is_profiling=bool(profile.get("was")),
            may_take_away=await _may_take_away(database),
            lets_anybody_in=open_to_all,
            is_encrypted=_is_encrypted(uri),
            is_local=_is_local([*hosts, *(host for host, _ in client.nodes)]),
        )

    return await administer(uri, ask, connect_timeout_seconds=connect_timeout_seconds)


async def _told(database: Database, command: Document) -> Document:
    """A command's answer; empty where the login may not give it, or the server does not know what it asks for."""
    try:
        return dict(await database.command(command))
    except OperationFailure:
        return {}


async def _versions(database: Database) -> dict[int, str] | None:
    try:
        return await applied_versions(database)
    except OperationFailure:
        return None


async def _lacking(database: Database) -> list[str] | None:
    try:
        return [one async for one in lacking(database)]
    except OperationFailure:
        return None


async def _is_journaled(database: Database) -> bool | None:
    """Asks for a write that matches nothing to be in the journal, which a server without one refuses."""
    locks = database.get_collection("locks", write_concern=WriteConcern(1, j=True))
    try:
        await locks.update_one({"_id": ""}, {"$inc": {"n": 0}})
    except OperationFailure as error:
        return False if error.code == _BAD_VALUE else None
    return True


async def _may_take_away(database: Database) -> bool:
    status = await database.command("connectionStatus", showPrivileges=True)
    privileges = status["authInfo"].get("authenticatedUserPrivileges", ())
    return (
        any(_TAKING_AWAY & set(one["actions"]) and _covers(one["resource"], database.name) for one in privileges)
        or not status["authInfo"]["authenticatedUsers"]
    )


def _covers(resource: Document, database: str) -> bool:
    """Whether a privilege is one over what is kept for good."""
    if resource.get("anyResource"):
        return True
    return resource.get("db") in {"", database} and resource.get("collection") in {"", *KEPT_FOR_GOOD}


async def _lets_anybody_in(uri: str, connect_timeout_seconds: float) -> bool:
    anonymous = _LOGIN_OPTIONS.sub("", _LOGIN.sub("", uri))

    async def look(client: Client) -> bool:
        await client.get_default_database("custody").schema_versions.find_one()
        return True

    try:
        return await administer(anonymous, look, connect_timeout_seconds=connect_timeout_seconds)
    except CustodyError:
        return False


def _is_encrypted(uri: str) -> bool:
    said = _TLS.search(uri)
    return uri.startswith("mongodb+srv://") if said is None else said[1].lower() == "true"


def _is_local(addresses: Sequence[str]) -> bool:
    hosts = [re.sub(r":\d+$", "", one) if one.count(":") == 1 or "]" in one else one for one in addresses]
    return all(_LOCAL.fullmatch(one) for one in hosts)


def _version(text: str | None) -> tuple[int, ...] | None:
    return None if text is None else tuple(int(one) for one in text.split("."))
