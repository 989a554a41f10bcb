"""One place where the driver's errors become Custody's. None of its words are passed on: they quote documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from broker.core.errors import StoreUnavailableError, UnstorableError

if TYPE_CHECKING:
    from broker.core.errors import CustodyError

DRIVER_ERRORS = (PyMongoError, BSONError, OSError, EOFError, UnicodeError, OverflowError)

TRANSIENT = "TransientTransactionError"
UNKNOWN_COMMIT = "UnknownTransactionCommitResult"

DUPLICATE_KEY = 11000
_INVALID_DOCUMENT = 121
_TOO_LARGE = frozenset({10334, 17280, 17419, 17420})
_UNAUTHORIZED = 13
_OUT_OF_DISK = 14031
_AUTHENTICATION_FAILED = 18
_SNAPSHOT_GONE = frozenset({239, 246})
"""SnapshotTooOld, SnapshotUnavailable."""
_CONFLICTS = frozenset({24, 112, 251, 11601, DUPLICATE_KEY})
"""LockTimeout, WriteConflict, NoSuchTransaction, Interrupted (by whoever it was in the way of), and a key that another
transaction added meanwhile.

Source: https://github.com/mongodb/mongo/blob/v6.0/src/mongo/base/error_codes.yml, 2026-11-26.
"""


class ConflictError(Exception):
    """Another transaction was first, or the server let go of this one: roll back, look again, plan again.

    `problem` is what it is where doing it again does not help.
    """

    def __init__(self, problem: StoreUnavailableError) -> None:
        super().__init__(str(problem))
        self.problem = problem


def translated(error: BaseException, collection: str) -> CustodyError | ConflictError:
    """What a driver's error at a collection means. An unknown one is retryable: by waiting nothing is lost."""
    if isinstance(error, DocumentTooLarge) or _TOO_LARGE & codes_of(error):
        return UnstorableError(f"MongoDB has no room for a document of {collection}: over 16 MB; set the entry aside")
    if isinstance(error, BSONError | UnicodeError | OverflowError):
        return UnstorableError(f"MongoDB has no form for a value ({type(error).__name__}); set the entry aside")
    if _INVALID_DOCUMENT in codes_of(error):
        return UnstorableError(f"MongoDB refuses a document of {collection} for what it is; set the entry aside")
    problem = StoreUnavailableError(f"MongoDB did not do it ({_named(error)}); {_remedy(error)}")
    if _CONFLICTS & codes_of(error) or (_has_label(error, TRANSIENT) and not _is_out_of_reach(error)):
        return ConflictError(problem)
    return problem


def codes_of(error: BaseException) -> set[int]:
    """The server's codes in a driver's error."""
    if isinstance(error, BulkWriteError):
        details = error.details or {}
        return {one.get("code", 0) for one in (*details.get("writeErrors", ()), *details.get("writeConcernErrors", ()))}
    return {error.code} if isinstance(error, OperationFailure) and error.code is not None else set()


def is_of_unknown_outcome(error: BaseException) -> bool:
    """Whether a commit may have been carried out, or may still be."""
    return _has_label(error, UNKNOWN_COMMIT)


def is_stale(error: BaseException) -> bool:
    """Whether the address, or the credential in it, may have changed."""
    return isinstance(error, ConnectionFailure) or _AUTHENTICATION_FAILED in codes_of(error)


def _has_label(error: BaseException, label: str) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label(label)


def _is_out_of_reach(error: BaseException) -> bool:
    return isinstance(error, ServerSelectionTimeoutError)


def _remedy(error: BaseException) -> str:
    if _SNAPSHOT_GONE & codes_of(error):
        return "it took longer than the server keeps a moment for: raise minSnapshotHistoryWindowInSeconds there"
    if _AUTHENTICATION_FAILED in codes_of(error):
        return "the login is refused: correct the address, or make the login with: custody init --logins"
    if _UNAUTHORIZED in codes_of(error):
        return "the login may not do this: give it its rights with: custody init --logins"
    if _OUT_OF_DISK in codes_of(error):
        return "free space on its disk"
    return "try again later"


def _named(error: BaseException) -> str:
    words = [type(error).__name__, *(str(one) for one in sorted(codes_of(error)))]
    details = getattr(error, "details", None) or {}
    if isinstance(name := details.get("codeName"), str):
        words.append(name)
    return " ".join(words)
