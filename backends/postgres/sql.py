"""SQL lies in files: `queries` by name, each with a comment that describes it, and `migrations` by number."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of a schema. A file that was applied somewhere is never changed again; `digest` would tell."""

    version: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """SHA-256 of its text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What one store keeps on its server: the folder of its files, its namespace there, the role that writes it."""

    folder: str
    namespace: str
    writer: str

    @property
    def version(self) -> int:
        """The one version that this code knows."""
        return migrations(self.folder)[-1].version


RECORDS = Schema(folder="records", namespace="custody_pas", writer="custody_writer")
BLOBS = Schema(folder="blobs", namespace="custody_blobs", writer="custody_blob_writer")
READER = "custody_reader"
"""The group of those who read; `custody_reader_<tenant>` is a member that sees one tenant."""

ADMIN_LOCK = 0x637573746F6479
"""The advisory lock that administrators take turns by: "custody" in ASCII."""


@cache
def query(name: str) -> str:
    """The text of `queries/<name>.sql`."""
    return (_HERE / "queries" / f"{name}.sql").read_text(encoding="utf-8")


@cache
def migrations(folder: str) -> tuple[Migration, ...]:
    """The steps in `migrations/<folder>`, oldest first; a file is called `0001_what_it_does.sql`."""
    files = sorted((_HERE / "migrations" / folder).glob("*.sql"))
    return tuple(
        Migration(version=int(file.stem.split("_")[0]), name=file.stem, sql=file.read_text(encoding="utf-8"))
        for file in files
    )
