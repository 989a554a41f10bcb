"""One place where the client's errors become Custody's. None of its words are passed on: they may quote values."""

from __future__ import annotations

import ssl
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from aiokafka import errors as kafka
from faststream.exceptions import FastStreamException

from broker.core.errors import CustodyError, LogUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, TypeAlias

P = ParamSpec("P")
T = TypeVar("T")

if TYPE_CHECKING:
    Call: TypeAlias = Callable[P, Coroutine[Any, Any, T]]

DRIVER_ERRORS = (kafka.KafkaError, FastStreamException, OSError, EOFError, AssertionError, ValueError)
"""Everything that aiokafka and FastStream raise: a `TimeoutError` is an `OSError`; aiokafka also asserts, and takes a
broken handshake for a `ValueError`."""

_REFUSED_LOGINS = (
    kafka.AuthenticationFailedError,
    kafka.AuthenticationMethodNotSupported,
    kafka.IllegalSaslStateError,
    kafka.SaslAuthenticationFailed,
    kafka.UnsupportedSaslMechanismError,
    ssl.SSLError,
)
_REFUSED_PERMISSIONS = (
    kafka.ClusterAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.TopicAuthorizationFailedError,
    kafka.TransactionalIdAuthorizationFailed,
)
_TOO_FEW_REPLICAS = (kafka.NotEnoughReplicasAfterAppendError, kafka.NotEnoughReplicasError)


def guarded(doing: str) -> Callable[[Call[P, T]], Call[P, T]]:
    """Lets a coroutine function raise Custody's errors only; `doing` says what failed, as in "while reading"."""

    def decorate(function: Call[P, T]) -> Call[P, T]:
        @wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return await function(*args, **kwargs)
            except DRIVER_ERRORS as error:
                problem = translated(error, doing)
            # Outside the handler, so that the client's error does not travel along as its context.
            raise problem

        return call

    return decorate


def translated(error: BaseException, doing: str) -> CustodyError:
    """What a client's error means to the caller. An unknown one is retryable: nothing is lost by waiting."""
    error = _refusal_behind(error)
    name = type(error).__name__
    if isinstance(error, _REFUSED_LOGINS):
        return LogUnavailableError(
            f"the log's brokers refuse the login while {doing} ({name}); check user and password, token, certificate "
            "and whom they trust. Nothing is lost by waiting"
        )
    if isinstance(error, _REFUSED_PERMISSIONS):
        return LogUnavailableError(
            f"the log's brokers do not let this user do it while {doing} ({name}); grant it: "
            "`custody topics acls --tenant NAME` prints what each role needs"
        )
    if isinstance(error, _TOO_FEW_REPLICAS):
        return LogUnavailableError(
            f"too few replicas are in sync while {doing} ({name}); nothing may be taken as written until brokers "
            "are back"
        )
    return LogUnavailableError(f"the log failed while {doing} ({name}); try again later")


def _refusal_behind(error: BaseException) -> BaseException:
    """A client's certificate is refused after the handshake, which then looks like a connection that was closed.

    Source: https://www.rfc-editor.org/rfc/rfc8446#section-4.4.2.4, and aiokafka 0.14.0, 2026-11-26.
    """
    cause = error.__cause__
    is_end = isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    return cause if isinstance(cause, ssl.SSLError) and not is_end else error
