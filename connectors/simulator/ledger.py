"""The ground truth: what was sent, what got its 200, what is still held, and what was fetched and deleted.

A SQLite file in a folder of its own, written by one connection in the event loop's thread: about 10 microseconds an
entry, and memory that does not grow with the run. Nothing here survives the simulator, so nothing is synced to disk.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from connectors.simulator.draft import Entry

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE parcels (
    number INTEGER PRIMARY KEY, attempts INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0, delivered_at REAL
);
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY, parcel INTEGER NOT NULL, account TEXT NOT NULL, field TEXT NOT NULL, kind TEXT NOT NULL,
    type TEXT NOT NULL, direction TEXT NOT NULL, key TEXT NOT NULL, message_id TEXT, timestamp INTEGER NOT NULL,
    media TEXT, held_until REAL, variant INTEGER NOT NULL, note TEXT, digest TEXT, inbound INTEGER NOT NULL,
    subscribed INTEGER NOT NULL
);
CREATE INDEX entries_media ON entries (media) WHERE media IS NOT NULL;
CREATE INDEX entries_message ON entries (account, message_id) WHERE message_id IS NOT NULL;
CREATE TABLE media (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, source TEXT NOT NULL, mime TEXT NOT NULL, size INTEGER NOT NULL,
    sha256 BLOB NOT NULL, announced BLOB NOT NULL, made_at REAL NOT NULL, expires_at REAL NOT NULL,
    gone INTEGER NOT NULL, deleted_at REAL
);
CREATE TABLE deletes (
    seq INTEGER PRIMARY KEY, media TEXT NOT NULL, account TEXT, at REAL NOT NULL, outcome TEXT NOT NULL
);
CREATE TABLE downloads (
    seq INTEGER PRIMARY KEY, media TEXT NOT NULL, account TEXT, at REAL NOT NULL, status INTEGER NOT NULL,
    damaged INTEGER NOT NULL
);
CREATE TABLE contact_book (
    account TEXT NOT NULL, user_id TEXT NOT NULL, phone TEXT NOT NULL, PRIMARY KEY (account, user_id)
) WITHOUT ROWID;
"""

_NEW_ENTRY = """
INSERT INTO entries (parcel, account, field, kind, type, direction, key, message_id, timestamp, media, held_until,
    variant, note, digest, inbound, subscribed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_COMMIT_EVERY_WRITES = 2_000
_COMMIT_EVERY_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A media object. `source`: webhook, echo or upload. `sha256` is that of the bytes, `announced` what is said.

    `gone`: a webhook names it, but it is not there. Times are Unix seconds.
    """

    id: str
    account: str
    source: str
    mime: str
    size: int
    sha256: bytes
    announced: bytes
    made_at: float
    expires_at: float
    gone: bool = False
    deleted_at: float | None = None

    def served(self, now: float) -> bool:
        """Whether the provider still has the bytes."""
        return not self.gone and self.deleted_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How a draft's entries are written down: whether someone is subscribed, and the digest of the encoded item."""

    parcel: int
    account: str
    field: str
    digest: str | None
    inbound: bool
    subscribed: bool


class Ledger:
    """Writes the ground truth, and answers what the provider has to know to serve media."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path)
        self._db.executescript(_SCHEMA)
        self._parcels = 0
        self._writes = 0
        self._committed_at = time.monotonic()

    def close(self) -> None:
        """Write what is pending and let go of the file."""
        self._db.commit()
        self._db.close()

    def commit(self) -> None:
        """Let other connections see everything written so far."""
        self._db.commit()
        self._writes = 0
        self._committed_at = time.monotonic()

    def next_parcel(self) -> int:
        """The number of the next thing sent."""
        self._parcels += 1
        return self._parcels

    def sent(self, sending: Sending, entries: Sequence[tuple[Entry, float | None]]) -> tuple[int, ...]:
        """Write down entries, each with until when it is held; gives their numbers."""
        if sending.subscribed:
            self._db.execute("INSERT INTO parcels (number) VALUES (?)", (sending.parcel,))
        numbers = tuple(self._entry(sending, entry, until) for entry, until in entries)
        self._wrote(len(entries) + 1)
        return numbers

    def _entry(self, sending: Sending, entry: Entry, held_until: float | None) -> int:
        own_id = entry.key[0] if entry.key and entry.kind not in {"status", "event"} else None
        row = (
            *(sending.parcel, sending.account, sending.field, entry.kind, entry.type, entry.direction),
            *(json.dumps(entry.key), own_id, entry.timestamp, entry.media, held_until, entry.variant),
            *(entry.note, sending.digest, sending.inbound, sending.subscribed),
        )
        number = self._db.execute(_NEW_ENTRY, row).lastrowid
        return number or 0

    def attempted(self, parcels: Iterable[int], *, delivered: bool, at: float) -> None:
        """A body with these parcels was posted; `delivered` if it got its 200."""
        rows = [(delivered, at if delivered else None, number) for number in parcels]
        self._db.executemany(
            "UPDATE parcels SET attempts = attempts + 1, delivered = delivered + ?,"
            " delivered_at = coalesce(delivered_at, ?) WHERE number = ?",
            rows,
        )
        self._wrote(len(rows))

    def dropped(self, parcels: Iterable[int]) -> None:
        """These were given up after the retry budget."""
        rows = [(number,) for number in parcels]
        self._db.executemany("UPDATE parcels SET dropped = 1 WHERE number = ?", rows)
        self._wrote(len(rows))

    def media_made(self, media: Media) -> None:
        """A media object came to be."""
        row = (
            *(media.id, media.account, media.source, media.mime, media.size, media.sha256, media.announced),
            *(media.made_at, media.expires_at, media.gone, media.deleted_at),
        )
        self._db.execute("INSERT INTO media VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        self._wrote(1)

    def media(self, media_id: str) -> Media | None:
        """The media object with this id."""
        row = self._db.execute("SELECT * FROM media WHERE id = ?", (media_id,)).fetchone()
        if row is None:
            return None
        media_id, account, source, mime, size, sha256, announced, made_at, expires_at, gone, deleted_at = row
        return Media(
            id=media_id,
            account=account,
            source=source,
            mime=mime,
            size=size,
            sha256=sha256,
            announced=announced,
            made_at=made_at,
            expires_at=expires_at,
            gone=bool(gone),
            deleted_at=deleted_at,
        )

    def media_lost(self, media_id: str) -> None:
        """The object is not there any more, though nobody deleted it."""
        self._db.execute("UPDATE media SET gone = 1 WHERE id = ?", (media_id,))
        self._wrote(1)

    def media_deleted(self, media_id: str, *, account: str | None, at: float, erased: bool) -> None:
        """A DELETE came for it: `erased` if it was there and now is not."""
        if erased:
            self._db.execute("UPDATE media SET deleted_at = ? WHERE id = ?", (at, media_id))
        row = (media_id, account, at, "erased" if erased else "absent")
        self._db.execute("INSERT INTO deletes (media, account, at, outcome) VALUES (?, ?, ?, ?)", row)
        self._wrote(2)

    def media_downloaded(self, media_id: str, *, account: str, at: float, status: int, damaged: bool = False) -> None:
        """Its bytes were asked for, and answered with `status`."""
        row = (media_id, account, at, status, damaged)
        self._db.execute("INSERT INTO downloads (media, account, at, status, damaged) VALUES (?, ?, ?, ?, ?)", row)
        self._wrote(1)

    def contact_noted(self, account: str, *, user_id: str, phone: str) -> None:
        """The contact book learned a customer."""
        self._db.execute("INSERT OR REPLACE INTO contact_book VALUES (?, ?, ?)", (account, user_id, phone))
        self._wrote(1)

    def contact_deleted(self, account: str, *, user_id: str | None, phone: str | None) -> bool:
        """Take a customer out of the contact book; whether it was there."""
        found = self._db.execute(
            "DELETE FROM contact_book WHERE account = ? AND (user_id = ? OR phone = ?)", (account, user_id, phone)
        )
        self._wrote(1)
        return found.rowcount > 0

    def delivered(self, parcel: int) -> bool:
        """Whether a body with this parcel got a 200."""
        row = self._db.execute("SELECT delivered FROM parcels WHERE number = ?", (parcel,)).fetchone()
        return row is not None and row[0] > 0

    def _wrote(self, count: int) -> None:
        self._writes += count
        late = time.monotonic() - self._committed_at > _COMMIT_EVERY_SECONDS
        if self._writes >= _COMMIT_EVERY_WRITES or late:
            self.commit()
