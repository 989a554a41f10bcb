"""Secrets that lie in files: read again whenever they are asked for, so that a rotated one needs no restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.errors import SettingsError
from broker.findings import line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def secret_line(path: Path) -> str:
    """What the file holds, less the end of its last line. `OSError` where that is nothing or no text."""
    try:
        found = path.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        found = ""
    if not found:
        raise OSError(None, "it holds no text")
    return found


def secret_reader(path: Path) -> Callable[[], str]:
    """Reads the file when it is called. An `OSError` then is a login that failed, and is tried again."""
    return lambda: secret_line(path)


def file_fault(path: Path) -> str | None:
    """Why a file can't be used; None where it can."""
    try:
        secret_line(path)
    except OSError as error:
        return f"can't be used: {(error.strerror or str(error)).lower()}"
    return None


def read_secret(path: Path, name: str, *, example: str, fault_of: Callable[[str], str | None]) -> str:
    """What a file holds, if it is as it should be. `SettingsError` under `name`, quoting nothing of it."""
    shown = f"a file that holds one line such as {example}"
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not text"
        raise SettingsError([line(name, f"can't be read: {why.lower()}", shown)]) from None
    if fault := fault_of(found):
        raise SettingsError([line(name, f"what the file holds {fault}", shown)])
    return found
