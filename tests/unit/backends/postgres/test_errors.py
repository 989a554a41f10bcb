"""What Postgres says decides what the delivery loop does; its words are dropped."""

from __future__ import annotations

import ssl

import asyncpg
import pytest

from backends.postgres.errors import ConflictError, guarded, is_lost, translated
from broker.core.delivery import Action, action_for
from broker.core.errors import (
    CustodyError,
    OffsetGapError,
    SchemaError,
    StoreUnavailableError,
    UnstorableError,
)

SECRET = "secret-4915901234567"


def _raised(error: type[asyncpg.PostgresError]) -> asyncpg.PostgresError:
    raised = error(SECRET)
    raised.detail = SECRET
    return raised


@pytest.mark.parametrize(
    "error",
    [
        _raised(asyncpg.ConnectionDoesNotExistError),
        _raised(asyncpg.InvalidPasswordError),
        _raised(asyncpg.InvalidAuthorizationSpecificationError),
        _raised(asyncpg.InvalidCatalogNameError),
        _raised(asyncpg.InsufficientPrivilegeError),
        _raised(asyncpg.AdminShutdownError),
        _raised(asyncpg.CrashShutdownError),
        _raised(asyncpg.CannotConnectNowError),
        _raised(asyncpg.QueryCanceledError),
        _raised(asyncpg.DiskFullError),
        _raised(asyncpg.OutOfMemoryError),
        _raised(asyncpg.TooManyConnectionsError),
        _raised(asyncpg.LockNotAvailableError),
        _raised(asyncpg.DeadlockDetectedError),
        _raised(asyncpg.SerializationError),
        _raised(asyncpg.ReadOnlySQLTransactionError),
        _raised(asyncpg.IdleInTransactionSessionTimeoutError),
        _raised(asyncpg.InternalServerError),
        asyncpg.InterfaceError(SECRET),
        asyncpg.InternalClientError(SECRET),
        ConnectionRefusedError(SECRET),
        TimeoutError(SECRET),
        ssl.SSLError(SECRET),
        EOFError(SECRET),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_passes_by_itself_is_tried_again(error: Exception) -> None:
    _becomes(translated(error, StoreUnavailableError), StoreUnavailableError, Action.RETRY)


@pytest.mark.parametrize(
    "error",
    [
        _raised(asyncpg.CharacterNotInRepertoireError),
        _raised(asyncpg.UntranslatableCharacterError),
        _raised(asyncpg.NumericValueOutOfRangeError),
        _raised(asyncpg.CheckViolationError),
        _raised(asyncpg.NotNullViolationError),
        _raised(asyncpg.UniqueViolationError),
        _raised(asyncpg.ProgramLimitExceededError),
        _raised(asyncpg.DataError),
        UnicodeEncodeError("utf-8", SECRET, 0, 1, SECRET),
        OverflowError(SECRET),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_row_refused_for_what_it_is_is_narrowed_down_to(error: Exception) -> None:
    _becomes(translated(error, StoreUnavailableError), UnstorableError, Action.NARROW)


@pytest.mark.parametrize(
    "error",
    [
        _raised(asyncpg.UndefinedTableError),
        _raised(asyncpg.UndefinedColumnError),
        _raised(asyncpg.UndefinedFunctionError),
        _raised(asyncpg.InvalidSchemaNameError),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_schema_that_is_another_stops(error: Exception) -> None:
    _becomes(translated(error, StoreUnavailableError), SchemaError, Action.STOP)


def test_the_rule_that_refused_a_row_is_named() -> None:
    error = _raised(asyncpg.CheckViolationError)
    error.constraint_name = "records_fingerprint_check"
    assert "records_fingerprint_check" in str(translated(error, StoreUnavailableError))


async def test_errors_of_custodys_own_pass_unchanged() -> None:
    gap = OffsetGapError(topic="custody.acme.messages.v1", partition=0, expected=1, found=2)

    async def work() -> None:
        raise gap

    with pytest.raises(OffsetGapError) as caught:
        await guarded(work(), StoreUnavailableError)
    assert caught.value is gap


async def test_nothing_of_the_drivers_error_travels_along() -> None:
    async def work() -> None:
        raise _raised(asyncpg.CheckViolationError)

    with pytest.raises(UnstorableError) as caught:
        await guarded(work(), StoreUnavailableError)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (_raised(asyncpg.CheckViolationError), False),
        (_raised(asyncpg.SerializationError), False),
        (ConflictError(), False),
        (UnstorableError(), False),
        (GeneratorExit(), False),
        (_raised(asyncpg.ConnectionDoesNotExistError), True),
        (_raised(asyncpg.AdminShutdownError), True),
        (asyncpg.InterfaceError("x"), True),
        (TimeoutError(), True),
        (KeyboardInterrupt(), True),
        (ValueError(), True),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_connection_is_used_again_only_after_a_plain_refusal(error: BaseException, lost: bool) -> None:
    assert is_lost(error) is lost


def _becomes(error: CustodyError, kind: type[CustodyError], action: Action) -> None:
    assert type(error) is kind
    assert action_for(error) is action
    assert SECRET not in str(error)
