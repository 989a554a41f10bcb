"""Logins: writers, who add to the store, and readers, who see one tenant. Each belongs to the store's own database.

A writer may change what has a state or a count, and nothing that was kept. MongoDB has no rules by row: a reader's
documents are shown by views of its tenant alone, and it may read nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pymongo.errors import OperationFailure

from backends.mongo.administering import administer, database_of
from backends.mongo.migrate import VERSIONS
from backends.mongo.steps import shapes
from broker.core.errors import SettingsError
from broker.core.topics import TENANT_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from backends.mongo.administering import Client, Database

    Document: TypeAlias = dict[str, Any]

WRITER = "custody_writer"
READER = "custody_reader"
INSPECTOR = "custody_inspector"
"""Of the `admin` database, where alone a role may ask about the servers: what `custody check` needs, no more."""
KEPT_FOR_GOOD = frozenset({"records", "parts", "part_results", "receipts", "unseen"})
"""The collections whose documents are written once."""
_INNER = frozenset({"locks", "numbers"})
"""What no reader needs: it tells nothing of a tenant."""
_LONGEST_NAME_BYTES = 63
_PRINTABLE = range(0x20, 0x7F)
_ASKING = frozenset({"getDefaultRWConcern", "getParameter", "replSetGetConfig"})
_USER_NOT_FOUND, _UNAUTHORIZED, _ROLE_NOT_FOUND = 11, 13, 31
_ALREADY_THERE = frozenset({51002, 51003})
"""The codes for a role and a user that are there: another administrator was faster."""
_NAMESPACE_EXISTS = 48


async def ensure_writer(uri: str, database: str, name: str, password: str) -> None:
    """Makes a login of this database that adds to the store, or gives it this password.

    `StoreUnavailableError`: the server does not answer, or refuses the administrator. `SettingsError`: a name or a
    password that could not be typed everywhere.
    """
    _check_login(name, password)

    async def ensure(client: Client) -> None:
        found = database_of(client, database)
        await _ensure_role(found, WRITER, list(_writing(database)))
        inspecting = await _ensure_inspector(database_of(client, "admin"))
        await _ensure_user(found, name, password, roles=[_role(found, WRITER), *inspecting])

    await administer(uri, ensure)


async def ensure_reader(uri: str, database: str, tenant: str, password: str) -> str:
    """Makes the login of this database that sees one tenant, or gives it this password; returns its name.

    It reads the views `custody_reader_<tenant>.<collection>`. Raises likewise.
    """
    if not TENANT_PATTERN.fullmatch(tenant):
        raise SettingsError([f"tenant {tenant!r}: 1 to 40 of a-z, 0-9 and '-', not at the ends; such as acme-life"])
    role = f"{READER}_{tenant}"
    _check_login(role, password)
    views = {view_name(tenant, name): name for name in shapes() if name not in _INNER}

    async def ensure(client: Client) -> None:
        found = database_of(client, database)
        await _ensure_views(found, tenant, views)
        await _ensure_role(found, role, [_privilege(database, view, "find") for view in views])
        await _ensure_user(found, role, password, roles=[_role(found, role)])

    await administer(uri, ensure)
    return role


def view_name(tenant: str, collection: str) -> str:
    """The view of a collection that a tenant's reader may read."""
    return f"{READER}_{tenant}.{collection}"


def _writing(database: str) -> Iterator[Document]:
    yield _privilege(database, VERSIONS, "find")
    yield _privilege(database, "system.profile", "find")  # who may read it is told whether there is one
    for name in shapes():
        changing = () if name in KEPT_FOR_GOOD else ("update",)
        yield _privilege(database, name, "find", "insert", "listIndexes", *changing)
    yield _privilege(database, "", "listCollections")


def _privilege(database: str, collection: str, *actions: str) -> Document:
    return {"resource": {"db": database, "collection": collection}, "actions": sorted(actions)}


async def _ensure_views(database: Database, tenant: str, views: Mapping[str, str]) -> None:
    # By its id too, which has an index that begins with the tenant. "0" follows "/".
    pipeline = [{"$match": {"tenant": tenant, "_id": {"$gte": f"{tenant}/", "$lt": f"{tenant}0"}}}]
    for view, collection in views.items():
        try:
            await database.command("create", view, viewOn=collection, pipeline=pipeline)
        except OperationFailure as error:
            if error.code != _NAMESPACE_EXISTS:
                raise
            await database.command("collMod", view, viewOn=collection, pipeline=pipeline)


async def _ensure_role(database: Database, role: str, privileges: Sequence[Document]) -> None:
    wanted = {"privileges": list(privileges), "roles": []}
    await _update_or_create(database, ("updateRole", "createRole"), role, wanted, missing=_ROLE_NOT_FOUND)


def _role(database: Database, name: str) -> Document:
    return {"role": name, "db": database.name}


async def _ensure_inspector(admin: Database) -> list[Document]:
    """The role of those who may ask how the servers are set up; none where the administrator may not grant it."""
    asking: Document = {"resource": {"cluster": True}, "actions": sorted(_ASKING)}
    try:
        await _ensure_role(admin, INSPECTOR, [asking])
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        return []
    return [_role(admin, INSPECTOR)]


async def _ensure_user(database: Database, name: str, password: str, *, roles: Sequence[Document]) -> None:
    there = (await database.command("usersInfo", {"user": name, "db": database.name}))["users"]
    if there:  # one login may serve several purposes
        roles = [*roles, *(one for one in there[0]["roles"] if one not in roles)]
    wanted = {"pwd": password, "roles": list(roles), "mechanisms": ["SCRAM-SHA-256"]}
    await _update_or_create(database, ("updateUser", "createUser"), name, wanted, missing=_USER_NOT_FOUND)


async def _update_or_create(
    database: Database, commands: tuple[str, str], name: str, wanted: Document, *, missing: int
) -> None:
    update, create = commands
    try:
        await database.command(update, name, **wanted)
    except OperationFailure as error:
        if error.code != missing:
            raise
    else:
        return
    try:
        await database.command(create, name, **wanted)
    except OperationFailure as error:
        if error.code not in _ALREADY_THERE:
            raise
        await database.command(update, name, **wanted)


def _check_login(name: str, password: str) -> None:
    if not 0 < len(name.encode()) <= _LONGEST_NAME_BYTES or "\0" in name:
        raise SettingsError([f"a login's name: 1 to {_LONGEST_NAME_BYTES} bytes; such as custody_app"])
    if not password or any(ord(character) not in _PRINTABLE for character in password):
        raise SettingsError(["a database password: printable ASCII, at least one character; such as 40 hex digits"])
