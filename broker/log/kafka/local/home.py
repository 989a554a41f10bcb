"""The home folder of one cluster: each broker's data, settings and log, and the lock that says whether it is used."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from broker.log.kafka.local.errors import LocalKafkaError

TEMPORARY_ROOT = Path("/var/tmp")  # noqa: S108 - survives a reboot as data should; names are mkdtemp's
PREFIX = "custody-kafka-"
_UNLOCKED_GRACE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFiles:
    """Where one broker keeps what is its own."""

    data: Path
    settings: Path
    log: Path
    scratch: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The folder of one cluster. `lock` is held by its owner and by every broker.

    The kernel frees the lock when the last of them is gone, however they went, so a free lock means that nobody
    uses the folder: no process id is compared, none can be taken for another.
    """

    root: Path
    lock: int
    temporary: bool

    def node(self, node_id: int) -> NodeFiles:
        """The files of one broker; its folder is there afterwards."""
        folder = self.root / f"broker-{node_id}"
        scratch = folder / "tmp"  # Java's own temporary files: the native parts of its codecs
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        return NodeFiles(
            data=folder / "data", settings=folder / "server.properties", log=folder / "broker.log", scratch=scratch
        )

    def cluster(self, fresh_id: str, *, brokers: int) -> str:
        """The cluster's id: `fresh_id` for a new one. Raises LocalKafkaError for one of another size."""
        path = self.root / "cluster.json"
        if not path.exists():
            write(path, json.dumps({"id": fresh_id, "brokers": brokers}))
        found = json.loads(path.read_text())
        if found["brokers"] != brokers:
            raise LocalKafkaError(
                f"{self.root} was made for {found['brokers']} brokers, not {brokers}: "
                "ask for as many, or name another directory"
            )
        return str(found["id"])

    def release(self) -> None:
        """Frees the lock; a temporary home is removed first. The brokers must be stopped."""
        if self.temporary:
            shutil.rmtree(self.root, ignore_errors=True)
        os.close(self.lock)


def temporary_home(root: Path = TEMPORARY_ROOT) -> Home:
    """A new folder under `root`, removed on release, or by `sweep` if its owner never came to that."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
    unnamed = folder / "lock.new"
    lock = try_lock(unnamed)
    if lock is None:
        raise LocalKafkaError(f"{unnamed} is locked by another process")
    unnamed.rename(folder / "lock")  # appears only once it is held, so that no sweep can come between
    return Home(root=folder, lock=lock, temporary=True)


def persistent_home(directory: Path) -> Home | None:
    """The folder at `directory`, made if it is missing. None while another process holds it."""
    folder = directory.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_strangers(folder)
    if not (folder / "lock").exists() and any(folder.iterdir()):
        raise LocalKafkaError(f"{folder} holds files that are not a cluster of Custody's: name an empty folder")
    lock = try_lock(folder / "lock")
    if lock is None:
        return None
    folder.chmod(0o700)
    return Home(root=folder, lock=lock, temporary=False)


def try_lock(path: Path) -> int | None:
    """Locks the file, made if it is missing, and returns its descriptor; None if somebody holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def sweep(root: Path = TEMPORARY_ROOT) -> list[Path]:
    """Removes this account's temporary homes that nobody uses any more; returns those it removed."""
    return [folder for folder in sorted(root.glob(f"{PREFIX}*")) if _swept(folder)]


def write(path: Path, text: str) -> None:
    """A file of ours, whole, and readable by nobody else."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    unfinished.rename(path)


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


def _refuse_strangers(folder: Path) -> None:
    """Others can create names in a shared folder: take nothing that they own or may write to."""
    found = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise LocalKafkaError(
            f"{folder} is not a folder that only this account (uid {os.geteuid()}) may change: "
            "look who made it, remove it, and start again"
        )
