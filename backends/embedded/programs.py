"""Where a wheel's programs are: as installed, or in a copy that the server's account can execute."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backends.embedded.account import TEMPORARY_ROOT, Account, Kind, last_lines, refuse_strangers

_UNNEEDED = shutil.ignore_patterns("include", "doc", "*.a", "*.py", "__pycache__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel that brings a server's programs.

    Attributes:
        kind: the server.
        distribution: the wheel's name.
        parts: its folders beside each other in site-packages; one that is not there is passed over.
        program: one program, by its path from site-packages; `probe` is a word on which it does nothing and succeeds.
        probe: such as `--version`.
    """

    kind: Kind
    distribution: str
    parts: Sequence[str]
    program: Path
    probe: str = "--version"


def usable_program(wheel: Wheel, installed: Path, account: Account, *, copies: Path = TEMPORARY_ROOT) -> Path:
    """The wheel's program, where `account` can execute it; `installed` is the site-packages it was found in.

    An unprivileged account may be unable to reach it there, as when it lies under /root. The wheel is then copied, once
    for each build of it, to a folder under `copies` that only the caller can change.
    """
    found = installed / wheel.program
    refusal = refusal_of(wheel, found, account)
    if refusal is None:
        return found
    if account.uid == os.geteuid():
        raise wheel.kind.error(f"{wheel.kind.name} does not run here:\n{refusal}")
    copied = copied_wheel(wheel, installed, copies) / wheel.program
    refusal = refusal_of(wheel, copied, account)
    if refusal is None:
        return copied
    raise wheel.kind.error(
        f"uid {account.uid} can execute {wheel.kind.name} neither in {found.parent} nor in {copied.parent}:\n{refusal}"
    )


def refusal_of(wheel: Wheel, program: Path, account: Account) -> str | None:
    """What the system says when `account` can't execute the program; None if it can."""
    outcome = account.run(program, wheel.probe)
    return None if outcome.returncode == 0 else last_lines(outcome.stdout, count=3)


def copied_wheel(wheel: Wheel, site_packages: Path, copies: Path) -> Path:
    """Copies programs and libraries as they are laid out, since they find each other by relative path."""
    found = importlib.metadata.distribution(wheel.distribution)
    build = hashlib.sha256((found.read_text("RECORD") or "").encode()).hexdigest()[:16]
    target = copies / f"custody-{wheel.kind.name.lower()}-{found.version}-{build}"
    if not os.path.lexists(target):
        unfinished = Path(tempfile.mkdtemp(prefix=wheel.kind.prefix, dir=copies))
        for part in wheel.parts:
            if (site_packages / part).exists():
                shutil.copytree(site_packages / part, unfinished / part, ignore=_UNNEEDED)
        _open_to_readers(unfinished)
        try:
            unfinished.rename(target)
        except OSError:  # somebody else was faster
            shutil.rmtree(unfinished)
    refuse_strangers(wheel.kind, target)
    return target


def _open_to_readers(folder: Path) -> None:
    """Lets everyone read and execute what its owner can, and nobody else write, whatever the umask was."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if mode & 0o100 else 0o644)
