"""Driver errors become Custody's, and keep their words to themselves."""

from __future__ import annotations

import traceback

import asyncpg
import pytest

from broker.core.errors import CustodyError, LogUnavailableError, SchemaError, SettingsError
from broker.log.postgres.errors import guarded, translated

SECRET = "canary-4711"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(111, SECRET), LogUnavailableError),
        (TimeoutError(SECRET), LogUnavailableError),
        (asyncpg.InvalidPasswordError(SECRET), LogUnavailableError),
        (asyncpg.TooManyConnectionsError(SECRET), LogUnavailableError),
        (asyncpg.AdminShutdownError(SECRET), LogUnavailableError),
        (asyncpg.CannotConnectNowError(SECRET), LogUnavailableError),
        (asyncpg.DeadlockDetectedError(SECRET), LogUnavailableError),
        (asyncpg.DiskFullError(SECRET), LogUnavailableError),
        (asyncpg.InsufficientPrivilegeError(SECRET), LogUnavailableError),
        (asyncpg.InterfaceError(SECRET), LogUnavailableError),
        (asyncpg.UndefinedTableError(SECRET), SchemaError),
        (asyncpg.InvalidSchemaNameError(SECRET), SchemaError),
        (asyncpg.ClientConfigurationError(SECRET), SettingsError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
async def test_an_error_is_named_without_a_word_of_the_driver(error: Exception, kind: type[CustodyError]) -> None:
    @guarded("testing")
    async def fail() -> None:
        raise error

    with pytest.raises(kind) as caught:
        await fail()
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_message_says_what_failed_and_how() -> None:
    error = translated(asyncpg.DiskFullError("x"), "appending")
    assert str(error) == "the log failed while appending (DiskFullError, SQLSTATE 53100); try again later"


async def test_custodys_own_errors_pass_as_they_are() -> None:
    @guarded("testing")
    async def fail() -> None:
        raise SchemaError("as it is")

    with pytest.raises(SchemaError, match="as it is"):
        await fail()
