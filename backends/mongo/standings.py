"""Parts, each with the result that counts."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from backends.mongo.documents import row_of
from broker.core.rows import PART_COLUMNS
from broker.core.standing import Ending, Standing, counting
from broker.core.tables import PART_RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from backends.mongo.documents import Ids
    from backends.mongo.drivers import Document
    from backends.mongo.work import Work


async def naming(work: Work, targets: Iterable[Ids]) -> Mapping[Ids, Sequence[Standing]]:
    """The parts that name each target; none of a target that no part names."""
    found: dict[Ids, list[Standing]] = defaultdict(list)
    for tenant, target_ids in by_tenant(targets).items():
        parts = await work.find("parts", {"tenant": tenant, "target_id": {"$in": target_ids}}, PART_COLUMNS)
        for one in await standings(work, tenant, parts):
            found[tenant, one.target_id].append(one)
    return found


async def standings(work: Work, tenant: str, parts: Sequence[Document]) -> list[Standing]:
    """Where parts of a tenant stand, in their order."""
    endings = await _endings(work, tenant, sorted({one["origin_id"] for one in parts}))
    return [_standing(row_of(one), endings) for one in parts]


def by_tenant(keys: Iterable[Ids]) -> Mapping[str, list[str]]:
    """The second halves of keys, by their tenant."""
    found: dict[str, list[str]] = defaultdict(list)
    for tenant, name in sorted(keys):
        found[tenant].append(name)
    return found


_Delivery = tuple[str, int, bytes]


async def _endings(work: Work, tenant: str, origin_ids: Sequence[str]) -> Mapping[_Delivery, list[Ending]]:
    found: dict[_Delivery, list[Ending]] = defaultdict(list)
    if origin_ids:
        wanted = {"tenant": tenant, "origin_id": {"$in": origin_ids}}
        for one in await work.find("part_results", wanted, PART_RESULTS.columns):
            found[one["origin_id"], one["number"], one["fingerprint"]].append(_ending(row_of(one)))
    return found


def _standing(row: Document, endings: Mapping[_Delivery, Sequence[Ending]]) -> Standing:
    return Standing(
        tenant=row["tenant"],
        record_id=row["record_id"],
        number=row["number"],
        media_kind=row["media_kind"],
        origin_id=row["origin_id"],
        fingerprint=row["fingerprint"],
        target_id=row["target_id"],
        named_at=row["kept_at"],
        ending=counting(endings.get((row["origin_id"], row["number"], row["fingerprint"]), ())),
    )


def _ending(row: Document) -> Ending:
    return Ending(
        order=row["result_number"],
        state=row["state"],
        reason=row["reason"],
        witnessed=row["witnessed"],
        shared=row["shared"],
        kept_at=row["kept_at"],
        size=row["size"],
        sha256=row["sha256"],
        place=row["place"],
        version=row["version"],
    )
