"""The store's side of the account: figures counted from documents, in one snapshot."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, TypeAlias

from backends.mongo.documents import key_id, of_tenant, row_of, time_of
from backends.mongo.reading import part_standings, unseen
from broker.core import rows
from broker.core.plan import bucket_start
from broker.core.ports import BucketTally, Tally
from broker.core.tables import PROGRESS
from broker.core.topics import ACCOUNTED_STREAMS, topic_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from backends.mongo.drivers import Document
    from backends.mongo.work import Work
    from broker.core.standing import Standing

Bucket: TypeAlias = "tuple[str, datetime] | None"
"""An account and the start of a quarter of an hour; None of the total."""
Figures: TypeAlias = dict[str, Counter[str]]
"""Amounts by the figure's name, then by label; figures that are not divided have one label, ''."""
_PARTS_AT_ONCE = 1000
_BUCKET_MICROS = 900_000_000


async def tally(work: Work, tenant: str, log: str, *, buckets: bool) -> Tally:
    """A tenant's tally, within the snapshot of `work`."""
    topics = [topic_name(tenant, stream) for stream in ACCOUNTED_STREAMS]
    progress = rows.progress_of(await work.find("progress", {"log": log, "topic": {"$in": topics}}))
    succeeded = {"tenant": tenant, "successor": log, "topic": {"$in": topics}, "next_offset": {"$ne": None}}
    before = await work.find("progress", succeeded, PROGRESS.columns, order=("log", "topic", "partition"))
    count = _Count(work, tenant, sorted({log, *(row["log"] for row in before)}), topics, buckets=buckets)
    await count.all()
    figures = count.figures[None]
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
        buckets=[_bucket(*one, count.figures[one]) for one in sorted(one for one in count.figures if one)],
        before=[rows.one_progress(row) for row in before],
    )


class _Count:
    """Counts the documents of one tenant: in all, and by bucket where that is asked for."""

    def __init__(self, work: Work, tenant: str, logs: Sequence[str], topics: Sequence[str], *, buckets: bool) -> None:
        self.figures: defaultdict[Bucket, Figures] = defaultdict(lambda: defaultdict(Counter))
        self._work = work
        self._tenant = tenant
        self._logs = list(logs)
        self._topics = list(topics)
        self._by_bucket = buckets

    async def all(self) -> None:
        await self._records()
        await self._parts()
        await self._named()
        await self._targets()
        await self._gaps()
        await self._dead()
        if self._by_bucket:
            await self._tallies()

    def _add(self, bucket: Bucket, name: str, label: str = "", amount: int = 1) -> None:
        self.figures[bucket if self._by_bucket else None][name][label] += amount

    async def _records(self) -> None:
        accounted = {
            "$and": [
                {"$in": ["$log", {"$literal": self._logs}]},
                {"$in": ["$stream", list(ACCOUNTED_STREAMS)]},
                {"$not": ["$worker_made"]},
            ]
        }
        key: Document = {"variant": {"$gt": ["$variant_of", None]}, "accounted": accounted} | self._bucket_key()
        group = {"_id": key, "count": {"$sum": 1}, "parts": {"$sum": "$part_count"}}
        for one in await self._work.aggregate(
            "records", [{"$match": {"_id": of_tenant(self._tenant)}}, {"$group": group}]
        ):
            where = one["_id"]
            figures = Counter(parts=one["parts"])
            if where["accounted"]:
                figures["variants" if where["variant"] else "kept"] += one["count"]
            for name, amount in figures.items():
                self._both(_bucket_of(where), name, "", amount)

    def _both(self, bucket: Bucket, name: str, label: str, amount: int) -> None:
        """Adds to the total, and to a bucket where that is asked for. Of nothing, no bucket is made."""
        self.figures[None][name][label] += amount
        if bucket is not None and amount:
            self.figures[bucket][name][label] += amount

    def _bucket_key(self) -> Document:
        if not self._by_bucket:
            return {}
        start = {"$subtract": ["$received_at", {"$mod": ["$received_at", _BUCKET_MICROS]}]}
        return {"account": "$account", "start": start}

    async def _named(self) -> None:
        """The distinct targets that rows with parts name; in each bucket, too, and where those stand."""
        pipeline: list[Document] = [
            {"$match": {"_id": of_tenant(self._tenant), "part_count": {"$gt": 0}}},
            {"$unwind": "$target_ids"},
        ]
        distinct = {"$group": {"_id": "$target_ids"}}
        for one in await self._work.aggregate("records", [*pipeline, distinct, {"$count": "count"}]):
            self.figures[None]["targets"][""] += one["count"]
        if not self._by_bucket:
            return
        named = {"$group": {"_id": {"target_id": "$target_ids", **self._bucket_key()}}}
        states: list[Document] = [
            {"$set": {"key": {"$concat": [f"{self._tenant}/", "$_id.target_id"]}}},
            {"$lookup": {"from": "targets", "localField": "key", "foreignField": "_id", "as": "target"}},
            {
                "$group": {
                    "_id": {"account": "$_id.account", "start": "$_id.start", "state": {"$first": "$target.state"}},
                    "count": {"$sum": 1},
                }
            },
        ]
        for one in await self._work.aggregate("records", [*pipeline, named, *states]):
            bucket = _bucket_of(one["_id"])
            self.figures[bucket]["targets"][""] += one["count"]
            if state := one["_id"].get("state"):
                self.figures[bucket]["target_states"][state] += one["count"]

    async def _parts(self) -> None:
        """How the parts ended whose records are there."""
        page: list[Standing] = []
        async for one in part_standings(self._again, self._tenant, at_once=_PARTS_AT_ONCE):
            page.append(one)
            if len(page) == _PARTS_AT_ONCE:
                await self._ended(page)
                page = []
        await self._ended(page)

    async def _again(self) -> Work:
        return self._work

    async def _ended(self, parts: Sequence[Standing]) -> None:
        ids = {key_id((self._tenant, one.record_id)) for one in parts}
        found = await self._work.by_id("records", list(ids), ("record_id", "account", "received_at"))
        buckets = {one["record_id"]: self._bucket(row_of(one)) for one in found}
        for one in parts:
            if one.record_id in buckets and one.ending is not None:
                name, label = ("parts_kept", "") if one.is_kept else ("parts_lost", one.ending.reason or "")
                self._both(buckets[one.record_id], name, label, 1)

    def _bucket(self, row: Mapping[str, Any]) -> Bucket:
        return (row["account"], bucket_start(row["received_at"])) if self._by_bucket else None

    async def _targets(self) -> None:
        group = {"_id": "$state", "count": {"$sum": 1}}
        for one in await self._work.aggregate(
            "targets", [{"$match": {"_id": of_tenant(self._tenant)}}, {"$group": group}]
        ):
            self.figures[None]["target_states"][one["_id"]] += one["count"]

    async def _gaps(self) -> None:
        match = {"$match": {"_id": of_tenant(self._tenant), "state": "open"}}
        group = {"_id": {"cause": "$cause", **self._bucket_key()}, "count": {"$sum": 1}}
        for one in await self._work.aggregate("gaps", [match, {"$group": group}]):
            self._both(_bucket_of(one["_id"]), "gaps", one["_id"]["cause"], one["count"])
        async for gap in unseen(self._work, self._tenant):
            bucket = (gap.account, bucket_start(gap.at)) if self._by_bucket else None
            self._both(bucket, "gaps", gap.cause, 1)

    async def _dead(self) -> None:
        """Dead letters that are open; of the settled, that their entry counts where its other try does."""
        wanted = {"_id": of_tenant(self._tenant), "log": {"$in": self._logs}, "topic": {"$in": self._topics}}
        group = {"_id": {"state": "$state", **self._bucket_key()}, "count": {"$sum": 1}}
        for one in await self._work.aggregate("dead_letters", [{"$match": wanted}, {"$group": group}]):
            bucket = _bucket_of(one["_id"])
            if one["_id"]["state"] == "open":
                self._both(bucket, "dead", "", one["count"])
            elif bucket is not None:
                self.figures[bucket]["entries"][""] -= one["count"]

    async def _tallies(self) -> None:
        match = {"$match": {"_id": of_tenant(self._tenant), "log": {"$in": self._logs}}}
        group = {
            "_id": {"account": "$account", "start": "$bucket"},
            "entries": {"$sum": "$entries"},
            "duplicates": {"$sum": "$duplicates"},
        }
        for one in await self._work.aggregate("tallies", [match, {"$group": group}]):
            for name in ("entries", "duplicates"):
                self.figures[_bucket_of(one["_id"])][name][""] += one[name]


def _bucket_of(key: Mapping[str, Any]) -> Bucket:
    return (key["account"], time_of(key["start"])) if "start" in key else None


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
