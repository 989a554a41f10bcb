"""What sets an embedded Postgres apart from other embedded servers, and who it runs as."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from backends.embedded import account as common
from backends.embedded.account import TEMPORARY_ROOT, Account, Kind, bare_environment, last_lines
from broker.core.errors import FatalError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "KIND",
    "PREFIX",
    "TEMPORARY_ROOT",
    "Account",
    "EmbeddedPostgresError",
    "bare_environment",
    "last_lines",
    "refuse_strangers",
    "server_account",
]

PREFIX = "custody-pg-"


class EmbeddedPostgresError(FatalError):
    """The embedded Postgres can't be started, or not where it was asked to."""

    code: ClassVar[str] = "embedded_postgres"


KIND = Kind(name="Postgres", prefix=PREFIX, error=EmbeddedPostgresError)


def server_account(run_as: str) -> Account:
    """The caller's own account, or, for root, that of `run_as`, since Postgres refuses to run as root."""
    return common.server_account(KIND, run_as)


def refuse_strangers(folder: Path) -> None:
    """Others can create names in a shared folder: take nothing that they own or may write to."""
    common.refuse_strangers(KIND, folder)
