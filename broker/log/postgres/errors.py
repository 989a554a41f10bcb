"""One place where the driver's errors become Custody's. None of its words are passed on: they may quote values."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import asyncpg

from broker.core.errors import CustodyError, LogUnavailableError, SchemaError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, TypeAlias

P = ParamSpec("P")
T = TypeVar("T")

if TYPE_CHECKING:
    Call: TypeAlias = Callable[P, Coroutine[Any, Any, T]]

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError)
"""Everything asyncpg raises; a `TimeoutError` is an `OSError`."""

CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""The transaction had no effect, and the same again may well succeed."""

_NOT_OUR_SCHEMA = (
    asyncpg.UndefinedTableError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
)


def guarded(doing: str, *also: type[Exception]) -> Callable[[Call[P, T]], Call[P, T]]:
    """Lets a coroutine function raise Custody's errors only; `doing` says what failed, as in "while reading"."""
    driver_errors: tuple[type[Exception], ...] = (*DRIVER_ERRORS, *also)

    def decorate(function: Call[P, T]) -> Call[P, T]:
        @wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return await function(*args, **kwargs)
            except driver_errors as error:
                problem = translated(error, doing)
            # Outside the handler, so that the driver's error does not travel along as its context.
            raise problem

        return call

    return decorate


def translated(error: BaseException, doing: str) -> CustodyError:
    """What a driver's error means to the caller. An unknown one is retryable: nothing is lost by waiting."""
    if isinstance(error, _NOT_OUR_SCHEMA):
        return SchemaError(f"the log's database has no schema of the log while {doing}: migrate it with: custody init")
    if isinstance(error, ValueError):  # raised for the address alone, before anything is sent
        example = "postgresql://custody@127.0.0.1:5432/custody"
        return SettingsError([f"the log's address: not one that Postgres understands; for example {example}"])
    return LogUnavailableError(f"the log failed while {doing} ({_name(error)}); try again later")


def is_lost(error: BaseException) -> bool:
    """Whether the connection is of no further use: everything but a statement that the server refused."""
    return not isinstance(error, asyncpg.PostgresError) or isinstance(
        error, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError
    )


def _name(error: BaseException) -> str:
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__}, SQLSTATE {state}" if state else type(error).__name__
