"""References to secrets: a file, from the folder of the registry, or a variable as `env:NAME`.

Findings name the key that refers, never what it refers to: somebody may have put the secret itself there.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from broker.core.identity import KEY_BYTES, TenantKey
from broker.core.ports import Finding
from broker.discretion import PLAIN

_ENV = "env:"
_MOST_BYTES = 65_536
_DISTINCT_BYTES = 8

Stamp = tuple[int, int, int] | None
"""Time of change, size and inode of a file; None when it is not there."""


def as_line(finding: Finding) -> str:
    """A finding in one line."""
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    return f"{finding.subject}: {finding.message}{remedy}"


def stamp(path: Path) -> Stamp:
    """What tells that a file is another one now."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@dataclass(slots=True, kw_only=True)
class References:
    """Reads secrets, and notes what is wrong with them and which files they came from."""

    folder: Path
    findings: list[Finding] = field(default_factory=list)
    stamps: dict[Path, Stamp] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict, repr=False)

    def problem(self, subject: str, message: str, example: str) -> None:
        """Notes that `subject` won't do."""
        shown = PLAIN.text(subject)
        self.findings.append(Finding(level="problem", subject=shown, message=message, remedy=f"for example {example}"))

    def key(self, subject: str, reference: str) -> TenantKey | None:
        """A tenant's key, in hexadecimal digits; None where it won't do."""
        text = self.secret(subject, reference)
        if text is None:
            return None
        example = 'key_file = "secrets/acme.key", made by: openssl rand -hex 32'
        try:
            secret = bytes.fromhex(text)
        except ValueError:
            self.problem(subject, "does not hold hexadecimal digits", example)
            return None
        if len(secret) < KEY_BYTES or len(set(secret)) < _DISTINCT_BYTES:
            self.problem(subject, f"holds a weak key: at least {KEY_BYTES} random bytes", example)
            return None
        if (first := self.keys.setdefault(text.lower(), subject)) != subject:
            self.problem(subject, f"holds the key of {first} too: pseudonyms would be the same in both", example)
        return TenantKey(secret)

    def secret(self, subject: str, reference: str) -> str | None:
        """A secret of one line, or None where it won't do."""
        key = subject.rpartition(".")[2]
        example = f'{key} = "secrets/name", or "env:NAME"'
        data = self._from_environment(reference) if reference.startswith(_ENV) else self._from_file(subject, reference)
        if isinstance(data, str):
            self.problem(subject, data, example)
            return None
        try:
            text = data.decode().strip()
        except UnicodeDecodeError:
            text = ""
        if not text or len(text.splitlines()) != 1:
            self.problem(subject, "does not hold one line of text", example)
            return None
        return text

    def _from_environment(self, reference: str) -> bytes | str:
        value = os.environ.get(reference.removeprefix(_ENV))
        return "names a variable that is not set" if value is None else value.encode("utf-8", "surrogateescape")

    def _from_file(self, subject: str, reference: str) -> bytes | str:
        """The bytes of a file, or what is wrong with it."""
        path = self.folder / reference
        self.stamps[path] = stamp(path)
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                return "does not refer to a file"
            if found.st_size > _MOST_BYTES:
                return "is too large for a secret"
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else None
            return f"can't be read: {(why or 'not a path').lower()}"
        if found.st_mode & stat.S_IROTH:
            self._warn(subject, "can be read by everybody on this machine", "chmod 600 the file")
        return data

    def _warn(self, subject: str, message: str, remedy: str) -> None:
        self.findings.append(Finding(level="warning", subject=PLAIN.text(subject), message=message, remedy=remedy))
