"""The home folder of one cluster: its data, socket, log, password and lock."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.embedded import folder
from backends.embedded.folder import Folder, try_lock, write
from backends.postgres.embedded.account import KIND, TEMPORARY_ROOT, EmbeddedPostgresError, last_lines

if TYPE_CHECKING:
    from pathlib import Path

    from backends.postgres.embedded.account import Account

__all__ = ["Home", "sweep", "temporary_home", "try_lock"]

_ACCESS_RULES = """\
# Passwords only, by SCRAM: no line here trusts anybody.
local all         all              scram-sha-256
local replication all              scram-sha-256
host  all         all 127.0.0.1/32 scram-sha-256
host  replication all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home(Folder):
    """The folder of one cluster. The data and the socket are the server's account's, all else is the owner's."""

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def sockets(self) -> Path:
        return self.root / "run"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    @property
    def access_rules(self) -> Path:
        return self.root / "pg_hba.conf"

    def prepare(self, binaries: Path, *, password: str, durable: bool) -> None:
        """Makes the cluster unless there is one, and writes the rules of access afresh."""
        write(self.access_rules, _ACCESS_RULES, mode=0o640, gid=self.account.gid)
        self.hand_over(self.sockets)
        if (self.data / "PG_VERSION").exists():
            self._check_cluster(binaries)
        else:
            self._initialise(binaries, password=password, durable=durable)

    def password(self, fresh: str) -> str:
        """The superuser's password: `fresh` for a new cluster, else the one kept in its file (mode 0600)."""
        if self.temporary:
            return fresh
        path = self.root / "superuser.password"
        if not (self.data / "PG_VERSION").exists():
            write(path, fresh, mode=0o600)
        try:
            return path.read_text()
        except FileNotFoundError:
            raise EmbeddedPostgresError(f"{path} is missing: put the superuser's password back there") from None

    def announces(self, process_id: int) -> bool:
        """Whether the server with this first process has written that it is ready for connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(process_id)] and [line.strip() for line in lines[7:8]] == ["ready"]

    def _initialise(self, binaries: Path, *, password: str, durable: bool) -> None:
        """Initialises beside the final place: an initdb that was cut off leaves nothing that looks whole."""
        unfinished, secret = self.root / "data.new", self.root / "initial.password"
        shutil.rmtree(unfinished, ignore_errors=True)
        self.hand_over(unfinished)
        write(secret, password, mode=0o400, uid=self.account.uid)
        words = [
            f"--pgdata={unfinished}",
            f"--pwfile={secret}",
            *_INITDB,
            *([] if durable else ["--no-sync"]),
        ]
        try:
            outcome = self.account.run(binaries / "initdb", *words, pass_fds=[self.lock])
        finally:
            secret.unlink()
        if outcome.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed in {self.root}:\n{last_lines(outcome.stdout)}")
        unfinished.rename(self.data)

    def _check_cluster(self, binaries: Path) -> None:
        owner = self.data.stat().st_uid
        if owner != self.account.uid:
            raise EmbeddedPostgresError(
                f"{self.data} belongs to uid {owner}, and the server would run as uid {self.account.uid}: "
                "start it as the account that made it"
            )
        made_by = (self.data / "PG_VERSION").read_text().strip()
        found = self.account.run(binaries / "postgres", "--version").stdout.split()[-1]
        if found.split(".")[0] != made_by:
            raise EmbeddedPostgresError(
                f"{self.data} was made by PostgreSQL {made_by}, and {found} is installed: "
                "dump it with the older one and restore, or use pg_upgrade"
            )


_INITDB = (
    "--username=postgres",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",  # sorts by code point on every machine, whatever its C library
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)


def temporary_home(account: Account, *, root: Path = TEMPORARY_ROOT) -> Home:
    """A new folder under `root`, removed on release, or by `sweep` if its owner never came to that."""
    return Home.make_temporary(KIND, account, root=root)


def sweep(root: Path = TEMPORARY_ROOT) -> list[Path]:
    """Removes this account's temporary homes that nobody uses any more; returns those it removed."""
    return folder.sweep(KIND, root)
