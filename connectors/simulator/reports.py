"""Reading the ground truth: rows as plain dictionaries, streamed, and a summary.

Each report opens the file for reading only, so that it can run in another thread while the simulator works.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Row = dict[str, object]

_TRUTH = """
SELECT e.seq, e.parcel, e.account, e.field, e.kind, e.type, e.direction, e.key, e.timestamp, e.media, e.held_until,
       e.variant, e.note, e.digest, e.inbound, e.subscribed, coalesce(p.attempts, 0) AS attempts,
       coalesce(p.delivered, 0) AS deliveries, coalesce(p.dropped, 0) AS dropped, p.delivered_at
FROM entries e LEFT JOIN parcels p ON p.number = e.parcel ORDER BY e.seq
"""

_HELD_MESSAGES = """
SELECT 'message' AS object, e.account, e.message_id AS id, min(e.kind) AS kind, min(e.type) AS type,
       min(e.direction) AS direction, max(e.held_until) AS until, max(coalesce(p.delivered, 0)) > 0 AS delivered
FROM entries e LEFT JOIN parcels p ON p.number = e.parcel
WHERE e.message_id IS NOT NULL AND e.held_until > :now GROUP BY e.account, e.message_id
"""

_MEDIA = """
SELECT 'media' AS object, m.account, m.id, m.source, m.mime, m.size, lower(hex(m.sha256)) AS sha256,
       m.sha256 <> m.announced AS digest_wrong, m.made_at, m.expires_at AS until, m.gone, m.deleted_at,
       EXISTS (SELECT 1 FROM entries e JOIN parcels p ON p.number = e.parcel
               WHERE e.media = m.id AND p.delivered > 0) AS delivered,
       (SELECT count(*) FROM downloads d WHERE d.media = m.id AND d.status = 200) AS downloads
FROM media m
"""

_HELD_MEDIA = _MEDIA + "WHERE m.gone = 0 AND m.deleted_at IS NULL AND m.expires_at > :now"

_DELETES = "SELECT seq, media, account, at, outcome FROM deletes ORDER BY seq"
_DOWNLOADS = "SELECT seq, media, account, at, status, damaged FROM downloads ORDER BY seq"
_CONTACTS = "SELECT 'contact' AS object, account, user_id AS id, phone FROM contact_book"

_COUNTS = """
SELECT
    (SELECT count(*) FROM entries WHERE subscribed = 1 AND field <> 'api') AS sent,
    (SELECT count(*) FROM entries e JOIN parcels p ON p.number = e.parcel WHERE p.delivered > 0) AS delivered,
    (SELECT count(*) FROM entries WHERE inbound = 1 AND variant = 0) AS inbound,
    (SELECT count(*) FROM entries WHERE variant = 1) AS variants,
    (SELECT count(*) FROM entries WHERE subscribed = 0 AND field <> 'api') AS unsubscribed,
    (SELECT count(*) FROM entries e JOIN parcels p ON p.number = e.parcel WHERE p.dropped = 1) AS dropped,
    (SELECT count(*) FROM media) AS media,
    (SELECT count(*) FROM media WHERE gone = 0 AND deleted_at IS NULL AND expires_at > :now) AS held_media,
    (SELECT count(*) FROM contact_book) AS held_contacts,
    (SELECT count(*) FROM deletes) AS deletes,
    (SELECT count(*) FROM deletes WHERE outcome = 'erased') AS erased,
    (SELECT count(*) FROM downloads WHERE status = 200) AS downloads,
    (SELECT count(*) FROM (SELECT 1 FROM entries WHERE message_id IS NOT NULL AND held_until > :now
                           GROUP BY account, message_id)) AS held_messages
"""

_FLAGS = frozenset({"variant", "inbound", "subscribed", "dropped", "gone", "delivered", "digest_wrong", "damaged"})


def truth(path: Path) -> Iterator[Row]:
    """Every entry, in the order it came to be. `deliveries` counts the bodies with it that got a 200."""
    for row in _rows(path, _TRUTH, now=0.0):
        yield row | {"key": json.loads(str(row["key"])), "delivered": row["deliveries"] != 0}


def held(path: Path, *, now: float) -> Iterator[Row]:
    """What the provider still holds at `now` (Unix seconds): messages, media, contacts."""
    for query in (_HELD_MESSAGES, _HELD_MEDIA, _CONTACTS):
        yield from _rows(path, query, now=now)


def media(path: Path) -> Iterator[Row]:
    """Every media object there ever was, with the digest of its bytes in hex."""
    return _rows(path, _MEDIA, now=0.0)


def deletes(path: Path) -> Iterator[Row]:
    """Every DELETE of a media object: `erased`, or `absent` when there was nothing to delete."""
    return _rows(path, _DELETES, now=0.0)


def downloads(path: Path) -> Iterator[Row]:
    """Every request for a media object's bytes that carried a valid token."""
    return _rows(path, _DOWNLOADS, now=0.0)


def counts(path: Path, *, now: float) -> dict[str, int]:
    """The summary's numbers."""
    with closing(_opened(path)) as database:
        cursor = database.execute(_COUNTS, {"now": now})
        return {column[0]: int(count) for column, count in zip(cursor.description, cursor.fetchone(), strict=True)}


def _rows(path: Path, query: str, *, now: float) -> Iterator[Row]:
    with closing(_opened(path)) as database:
        cursor = database.execute(query, {"now": now} if ":now" in query else {})
        names = [column[0] for column in cursor.description]
        for values in cursor:
            yield {name: _plain(name, value) for name, value in zip(names, values, strict=True)}


def _opened(path: Path) -> sqlite3.Connection:
    # One thread at a time reads, but a streamed answer may change threads between pieces.
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)


def _plain(name: str, value: object) -> object:
    return bool(value) if name in _FLAGS else value
