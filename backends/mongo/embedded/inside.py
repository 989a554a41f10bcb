"""What is said to the members before anybody has a login: as themselves, by the key they share.

MongoDB would let whoever calls first from the same machine make the first login. Here nobody is let in without a
password, and the members' own login, `__system`, forms the set and makes the superuser.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    Client: TypeAlias = AsyncMongoClient[dict[str, Any]]
    Document: TypeAlias = Mapping[str, Any]

_NOT_YET_INITIALIZED = 94
_ANSWER_SECONDS = 5.0
# Source: https://www.mongodb.com/docs/manual/reference/replica-states/, 2026-11
_PRIMARY, _SECONDARY = 1, 2


@asynccontextmanager
async def inside(address: str, key: str) -> AsyncIterator[Client]:
    """One member, whatever state it is in, as itself."""
    milliseconds = int(_ANSWER_SECONDS * 1000)
    client: Client = AsyncMongoClient(
        f"mongodb://{address}/",
        username="__system",
        password=key,
        authSource="local",
        authMechanism="SCRAM-SHA-256",
        directConnection=True,
        connectTimeoutMS=milliseconds,
        socketTimeoutMS=milliseconds,
        serverSelectionTimeoutMS=milliseconds,
        serverMonitoringMode="poll",  # a second connection would be left open if closed while connecting
    )
    try:
        yield client
    finally:
        await client.close()


async def serves(address: str, key: str, *, leading: bool = False) -> bool:
    """Whether the member can be read: it leads, or, unless it has to lead, follows."""
    if not await _listens(address):
        return False
    try:
        async with inside(address, key) as client:
            status = await client.admin.command("replSetGetStatus")
    except PyMongoError:
        return False
    return status["myState"] in ({_PRIMARY} if leading else {_PRIMARY, _SECONDARY})


async def answers(address: str, key: str) -> bool:
    """Whether the member answers, be it in a set or not."""
    if not await _listens(address):
        return False
    try:
        async with inside(address, key) as client:
            await client.admin.command("ping")
    except PyMongoError:
        return False
    return True


async def form(name: str, addresses: Sequence[str], key: str, *, election_timeout_seconds: float) -> None:
    """Makes the set of these members, or gives a set that was made before their addresses of now."""
    wanted: dict[str, Any] = {
        "_id": name,
        "members": [{"_id": number, "host": address} for number, address in enumerate(addresses)],
        "settings": {
            "electionTimeoutMillis": int(election_timeout_seconds * 1000),
            "heartbeatIntervalMillis": int(min(2000, election_timeout_seconds * 1000 / 3)),
        },
    }
    async with inside(addresses[0], key) as client:
        found = await _configured(client)
        if found is None:
            await client.admin.command("replSetInitiate", wanted)
        elif [one["host"] for one in found["members"]] != list(addresses):
            members = [{**one, "host": host} for one, host in zip(found["members"], addresses, strict=True)]
            renewed = {**found, "members": members, "version": found["version"] + 1}
            await client.admin.command("replSetReconfig", renewed, force=True)


async def make_superuser(address: str, key: str, *, user: str, password: str) -> bool:
    """Gives the superuser this password if the member is the primary; whether it is."""
    async with inside(address, key) as client:
        if not (await client.admin.command("hello"))["isWritablePrimary"]:
            return False
        there = (await client.admin.command("usersInfo", user))["users"]
        await client.admin.command(
            "updateUser" if there else "createUser",
            user,
            pwd=password,
            roles=["root"],
            mechanisms=["SCRAM-SHA-256"],
            writeConcern={"w": "majority", "wtimeout": int(_ANSWER_SECONDS * 1000)},
        )
        return True


async def _listens(address: str) -> bool:
    """Whether there is somebody to call: the driver would go on calling."""
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


async def _configured(client: Client) -> Document | None:
    try:
        return dict((await client.admin.command("replSetGetConfig"))["config"])
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        return None
