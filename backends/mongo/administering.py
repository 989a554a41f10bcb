"""An administrator's client for a moment. None of the driver's words are passed on: they quote documents and logins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.errors import InvalidName, OperationFailure, PyMongoError
from pymongo.write_concern import WriteConcern

from broker.core.errors import SettingsError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pymongo.asynchronous.database import AsyncDatabase

    Client: TypeAlias = AsyncMongoClient[dict[str, Any]]
    Database: TypeAlias = AsyncDatabase[dict[str, Any]]

T = TypeVar("T")

_CONNECT_SECONDS = 10.0
_SCHEMES = ("mongodb://", "mongodb+srv://")
_EXAMPLE = "mongodb://custody@127.0.0.1:27017/custody?replicaSet=rs0"


async def administer(
    uri: str, work: Callable[[Client], Awaitable[T]], *, connect_timeout_seconds: float = _CONNECT_SECONDS
) -> T:
    """What `work` comes to with a client of the server, which is closed afterwards.

    `SettingsError`: the URI is none. `StoreUnavailableError`: the server does not answer, or refuses the login or what
    it may do.
    """
    client = _client(uri, int(connect_timeout_seconds * 1000))
    try:
        return await work(client)
    except (PyMongoError, BSONError, OSError) as error:
        problem = StoreUnavailableError(f"MongoDB did not do it ({named(error)}); try again later")
    finally:
        await client.close()
    raise problem  # outside the handler, so that the driver's error does not travel along as its context


def database_of(client: Client, name: str) -> Database:
    """A database whose writes are durable when they return. `SettingsError`: it can't be called that."""
    try:
        return client.get_database(name, write_concern=WriteConcern("majority", j=True))
    except InvalidName:
        pass
    raise SettingsError(["a database's name: letters, digits, '-' and '_'; for example custody"])


def named(error: BaseException) -> str:
    """An error's kind, and the server's code and name for it."""
    words = [type(error).__name__]
    if isinstance(error, OperationFailure):
        words += [str(error.code), str((error.details or {}).get("codeName", ""))]
    return " ".join(word for word in words if word)


def _client(uri: str, milliseconds: int) -> Client:
    try:
        return AsyncMongoClient(
            uri if uri.startswith(_SCHEMES) else "",  # without one, a word would be taken for a host
            appname="custody-admin",
            connectTimeoutMS=milliseconds,
            serverSelectionTimeoutMS=milliseconds,
            serverMonitoringMode="poll",  # a second connection would be left open if closed while connecting
        )
    except (PyMongoError, ValueError):
        pass
    raise SettingsError([f"the address of a MongoDB: is none; for example {_EXAMPLE}"])
