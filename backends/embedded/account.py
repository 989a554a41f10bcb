"""Who a server's processes run as, and what they may see of whoever starts them."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from broker.core.errors import FatalError

if TYPE_CHECKING:
    from collections.abc import Sequence


TEMPORARY_ROOT = Path("/var/tmp")  # noqa: S108 - the one place every account can reach; names are mkdtemp's
_LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of server: its name for people, how its temporary folders begin, and what is raised for it."""

    name: str
    prefix: str
    error: type[FatalError]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The operating system's account that the server's processes run as."""

    uid: int
    gid: int

    def command(self, program: Path, *arguments: str) -> list[str]:
        """The command line that runs `program` as this account, ended when the calling process ends."""
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER)]
        return [*launcher, str(self.uid), str(self.gid), str(os.getpid()), str(program), *arguments]

    def run(self, program: Path, *arguments: str, pass_fds: Sequence[int] = ()) -> subprocess.CompletedProcess[str]:
        """Runs `program` to its end. Its standard error is in `stdout`."""
        return subprocess.run(  # noqa: S603 - fixed words and paths of ours, no shell
            self.command(program, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=bare_environment(),
            cwd="/",
            pass_fds=pass_fds,
            text=True,
            errors="replace",
            check=False,
        )


def server_account(kind: Kind, run_as: str) -> Account:
    """The caller's own account, or, for root, that of `run_as`: no server here runs as root."""
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid())
    try:
        entry = pwd.getpwnam(run_as)
    except KeyError:
        raise kind.error(f"This machine has no account {run_as!r} to run {kind.name} as") from None
    if entry.pw_uid == 0:
        raise kind.error(f"{kind.name} does not run as root: {run_as!r} must be another account")
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def bare_environment() -> dict[str, str]:
    """What a server's process may see of the environment: nothing of the caller's, which may hold secrets."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def refuse_strangers(kind: Kind, folder: Path) -> None:
    """Others can create names in a shared folder: take nothing that they own or may write to."""
    found = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise kind.error(
            f"{folder} is not a folder that only this account (uid {os.geteuid()}) may change: "
            "look who made it, remove it, and start again"
        )


def last_lines(text: str, *, count: int = 12) -> str:
    """The end of a program's output, indented, for an error message."""
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-count:]) or "  (it said nothing)"
