"""The store's side of the account: figures counted from rows, in one snapshot."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, TypeAlias

from backends.postgres.sql import query
from broker.core.ports import BucketTally, Tally
from broker.core.rows import one_progress, progress_of
from broker.core.topics import ACCOUNTED_STREAMS, topic_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    import asyncpg

    from backends.postgres.connections import Connection

Figures: TypeAlias = dict[str, Counter[str]]
"""Amounts by the figure's name, then by label; figures that are not divided have one label, ''."""
_APART = frozenset({"targets", "target_states"})
"""Of which the sum over buckets is not the total."""
_LONGEST_SECONDS = 3600.0
"""Counting takes longer the more there is: the limit of other statements would end it on a large store."""


async def tally(connection: Connection, tenant: str, log: str, *, buckets: bool) -> Tally:
    """A tenant's tally, within the snapshot that `connection` is in."""
    await connection.execute(query("plan_freely"))
    topics = [topic_name(tenant, stream) for stream in ACCOUNTED_STREAMS]
    progress = progress_of(await connection.fetch(query("records/read_progress"), log, topics))
    before = await connection.fetch(query("records/read_before"), tenant, log, topics)
    logs = sorted({log, *(row["log"] for row in before)})
    arguments = (tenant, logs, list(ACCOUNTED_STREAMS), topics)
    counting = query("records/tally_buckets" if buckets else "records/tally_totals")
    found = await connection.fetch(counting, *arguments, timeout=_LONGEST_SECONDS)
    figures = _figures(_in_all(found) if buckets else found)
    return Tally(
        progress=progress,
        kept=figures["kept"][""],
        variants=figures["variants"][""],
        dead=figures["dead"][""],
        gaps=+figures["gaps"],
        parts=figures["parts"][""],
        parts_kept=figures["parts_kept"][""],
        parts_lost=+figures["parts_lost"],
        targets=figures["targets"][""],
        target_states=+figures["target_states"],
        buckets=_buckets(found) if buckets else (),
        before=[one_progress(row) for row in before],
    )


def _figures(rows: Iterable[asyncpg.Record]) -> Figures:
    figures: Figures = defaultdict(Counter)
    for row in rows:
        figures[row["name"]][row["label"]] += int(row["amount"])
    return figures


def _in_all(rows: Iterable[asyncpg.Record]) -> Iterator[asyncpg.Record]:
    """Of the rows by bucket, those that add up to the totals."""
    return (row for row in rows if row["account"] is None or row["name"] not in _APART)


def _buckets(rows: Iterable[asyncpg.Record]) -> Sequence[BucketTally]:
    found: dict[tuple[str, datetime], list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        if row["account"] is not None:
            found[row["account"], row["start"]].append(row)
    return [_bucket(account, start, _figures(found[account, start])) for account, start in sorted(found)]


def _bucket(account: str, start: datetime, figures: Figures) -> BucketTally:
    return BucketTally(
        account=account,
        start=start,
        entries=figures["entries"][""],
        kept=figures["kept"][""],
        duplicates=figures["duplicates"][""],
        variants=figures["variants"][""],
        dead=figures["dead"][""],
        gaps=figures["gaps"].total(),
        parts=figures["parts"][""],
        parts_kept=figures["parts_kept"][""],
        parts_lost=figures["parts_lost"].total(),
        targets=figures["targets"][""],
        target_states=+figures["target_states"],
    )
