"""The home folder of one server: its data, settings, keys, log and lock.

Whoever starts the server owns it. An owner that is root hands the data to an unprivileged account, lets it read the
settings, and keeps the rest.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backends.postgres.embedded.account import TEMPORARY_ROOT, Account
from backends.postgres.embedded.home import try_lock
from backends.s3.embedded.errors import EmbeddedS3Error

PREFIX = "custody-s3-"
_UNLOCKED_GRACE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The folder of one server. `lock` is held by its owner and by the server.

    The kernel frees the lock when the last of them is gone, however they went, so a free lock means that nobody uses
    the folder: no process id is compared, none can be taken for another.
    """

    root: Path
    account: Account
    lock: int
    temporary: bool

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def settings(self) -> Path:
        """The folder of SeaweedFS' own settings, which hold keys."""
        return self.root / "settings"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    def prepare(self) -> None:
        """Makes the folders that the server's account needs."""
        self._hand_over(self.data)
        self.settings.mkdir(mode=0o700, exist_ok=True)
        _let_through(self.settings, self.account)

    def write_settings(self, name: str, text: str) -> None:
        """A file that the server's account can read, and nobody else."""
        _write(self.settings / name, text, account=self.account)

    def kept(self, name: str, fresh: str) -> str:
        """A secret that belongs to the data: `fresh` where there is none yet, else the one in its file (0600)."""
        path = self.root / name
        if not path.exists():
            _write(path, fresh)
        return path.read_text()

    def release(self) -> None:
        """Frees the lock; a temporary home is removed first. The server must be stopped."""
        if self.temporary:
            shutil.rmtree(self.root, ignore_errors=True)
        os.close(self.lock)

    def _hand_over(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() != self.account.uid:
            os.chown(folder, self.account.uid, self.account.gid, follow_symlinks=False)
        elif folder.stat().st_uid != self.account.uid:
            raise EmbeddedS3Error(f"{folder} belongs to another account: start the server as the one that made it")


def temporary_home(account: Account, *, root: Path = TEMPORARY_ROOT) -> Home:
    """A new folder under `root`, removed on release, or by `sweep` if its owner never came to that."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
    _let_through(folder, account)
    unnamed = folder / "lock.new"
    lock = try_lock(unnamed)
    if lock is None:
        raise EmbeddedS3Error(f"{unnamed} is locked by another process")
    unnamed.rename(folder / "lock")  # appears only once it is held, so that no sweep can come between
    return Home(root=folder, account=account, lock=lock, temporary=True)


def persistent_home(directory: Path, account: Account) -> Home | None:
    """The folder at `directory`, made if it is missing. None while another process holds it."""
    folder = directory.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    refuse_strangers(folder)
    if not (folder / "lock").exists() and any(folder.iterdir()):
        raise EmbeddedS3Error(f"{folder} holds files that are not an S3 server of Custody's: name an empty folder")
    lock = try_lock(folder / "lock")
    if lock is None:
        return None
    _let_through(folder, account)
    return Home(root=folder, account=account, lock=lock, temporary=False)


def sweep(root: Path = TEMPORARY_ROOT) -> list[Path]:
    """Removes this account's temporary homes that nobody uses any more; returns those it removed."""
    return [folder for folder in sorted(root.glob(f"{PREFIX}*")) if _swept(folder)]


def refuse_strangers(folder: Path) -> None:
    """Others can create names in a shared folder: take nothing that they own or may write to."""
    found = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise EmbeddedS3Error(
            f"{folder} is not a folder that only this account (uid {os.geteuid()}) may change: "
            "look who made it, remove it, and start again"
        )


def _swept(folder: Path) -> bool:
    with suppress(FileNotFoundError):
        found = folder.lstat()
        if found.st_uid != os.geteuid() or folder.is_symlink():
            return False
        if not (folder / "lock").exists():  # being made at this moment, or cut off in the making
            if time.time() - found.st_mtime < _UNLOCKED_GRACE_SECONDS:
                return False
            shutil.rmtree(folder, ignore_errors=True)
            return True
        lock = try_lock(folder / "lock")
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            return True
    return False


def _let_through(folder: Path, account: Account) -> None:
    """Opens the folder's door, and no more, to the server's account."""
    if os.geteuid() != account.uid:
        os.chown(folder, -1, account.gid, follow_symlinks=False)
        folder.chmod(0o710)
    else:
        folder.chmod(0o700)


def _write(path: Path, text: str, *, account: Account | None = None) -> None:
    """Writes a file of ours whole (0600); as root, hands it to the account, before there is anything in it."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if account is not None and os.geteuid() != account.uid:
            os.fchown(descriptor, account.uid, account.gid)
        file.write(text)
    unfinished.rename(path)
