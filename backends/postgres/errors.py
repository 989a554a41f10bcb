"""One place where the driver's errors become Custody's. None of its words are passed on: they quote row values."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import asyncpg

from broker.core.errors import CustodyError, SchemaError, UnstorableError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from broker.core.errors import RetryableError

T = TypeVar("T")

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # a TimeoutError is one
    EOFError,
    UnicodeError,  # what UTF-8 can't hold; it carries the text
    OverflowError,
)

_UNSTORABLE_CLASSES = ("22", "23", "54")
"""Data exception, integrity violation, program limit.

Source: https://www.postgresql.org/docs/18/errcodes-appendix.html.
"""
_SCHEMA_CLASSES = ("42", "3F")
_INSUFFICIENT_PRIVILEGE = "42501"


class ConflictError(Exception):
    """Another transaction inserted one of the batch's records meanwhile: roll back, look again, plan again."""


async def guarded(work: Awaitable[T], unavailable: type[RetryableError]) -> T:
    """Awaits `work` and raises Custody's errors in place of the driver's: `unavailable` for what passes by itself."""
    try:
        return await work
    except DRIVER_ERRORS as error:
        problem = translated(error, unavailable)
    # Outside the handler, so that the driver's error does not travel along as its context.
    raise problem


def translated(error: BaseException, unavailable: type[RetryableError]) -> CustodyError:
    """What a driver's error means. An unknown one is retryable: by waiting nothing is lost."""
    name, state = type(error).__name__, getattr(error, "sqlstate", None) or ""
    named = " ".join(word for word in (name, state, getattr(error, "constraint_name", None)) if word)
    if isinstance(error, UnicodeError | OverflowError):
        return UnstorableError(f"Postgres has no form for a value ({name}); set the entry aside")
    if state.startswith(_UNSTORABLE_CLASSES):
        return UnstorableError(f"Postgres refuses a row for what it is ({named}); set the entry aside")
    if state.startswith(_SCHEMA_CLASSES) and state != _INSUFFICIENT_PRIVILEGE:
        return SchemaError(f"the store's schema is not the one of this version ({name}): migrate it with: custody init")
    return unavailable(f"Postgres did not do it ({named}); try again later")


def is_lost(error: BaseException) -> bool:
    """Whether a connection may be in the middle of something after this error, and is of no further use."""
    if isinstance(error, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError):
        return True
    return not isinstance(error, asyncpg.PostgresError | CustodyError | ConflictError | GeneratorExit)
