"""Which of Custody's errors a driver's error becomes."""

from __future__ import annotations

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from backends.mongo.errors import ConflictError, is_of_unknown_outcome, is_stale, translated
from broker.core.errors import StoreUnavailableError, UnstorableError

CANARY = "canary-4915901234567"


def _labelled(error: PyMongoError, label: str) -> PyMongoError:
    error._add_error_label(label)
    return error


def _bulk(*codes: int) -> BulkWriteError:
    return BulkWriteError({"writeErrors": [{"code": code, "errmsg": CANARY} for code in codes]})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DocumentTooLarge(CANARY), UnstorableError),
        (OperationFailure(CANARY, 10334), UnstorableError),
        (InvalidDocument(CANARY), UnstorableError),
        (UnicodeEncodeError("utf-8", CANARY, 0, 1, CANARY), UnstorableError),
        (OverflowError(CANARY), UnstorableError),
        (_bulk(121), UnstorableError),
        (OperationFailure(CANARY, 121), UnstorableError),
        (_bulk(11000), ConflictError),
        (OperationFailure(CANARY, 112), ConflictError),
        (_labelled(NetworkTimeout(CANARY), "TransientTransactionError"), ConflictError),
        (_labelled(ServerSelectionTimeoutError(CANARY), "TransientTransactionError"), StoreUnavailableError),
        (OperationFailure(CANARY, 13), StoreUnavailableError),
        (OperationFailure(CANARY, 18), StoreUnavailableError),
        (OperationFailure(CANARY, 10107), StoreUnavailableError),
        (OperationFailure(CANARY, 14031), StoreUnavailableError),
        (AutoReconnect(CANARY), StoreUnavailableError),
        (OSError(CANARY), StoreUnavailableError),
        (PyMongoError(CANARY), StoreUnavailableError),
    ],
)
def test_each_has_its_meaning_and_its_words_stay_unsaid(error: Exception, kind: type[Exception]) -> None:
    found = translated(error, "records")
    assert type(found) is kind
    assert CANARY not in str(found)


def test_a_moment_that_is_gone_names_the_servers_setting() -> None:
    assert "minSnapshotHistoryWindowInSeconds" in str(translated(OperationFailure(CANARY, 239), "records"))


def test_only_what_keeps_from_connecting_makes_an_address_stale() -> None:
    assert is_stale(OperationFailure("", 18))
    assert is_stale(AutoReconnect(""))
    assert not is_stale(OperationFailure("", 13))


def test_a_commit_is_of_unknown_outcome_where_the_driver_says_so() -> None:
    assert is_of_unknown_outcome(_labelled(AutoReconnect(""), "UnknownTransactionCommitResult"))
    assert not is_of_unknown_outcome(AutoReconnect(""))
