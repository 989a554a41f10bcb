"""Everything that can be read of a record store, as values to compare: an order only where one is promised."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from broker.core.ports import RecordStore

T = TypeVar("T")


async def glance(
    store: RecordStore, logs: Sequence[str], topics: Sequence[str], tenants: Sequence[str]
) -> Mapping[str, object]:
    """How far a store is, and what is open; by the name of what was read."""
    found: dict[str, object] = {
        "dead letters": await store.dead_letters(),
        "dead letters, the settled ones too": await store.dead_letters(settled=True),
    }
    for log in logs:
        found[f"{log}, progress"] = await store.progress(log, topics)
        found[f"{log}, other logs"] = await store.other_logs(log, topics)
    for tenant in tenants:
        found[f"{tenant}, dead letters"] = await store.dead_letters(tenant)
        found[f"{tenant}, targets"] = await _sorted(store.targets(tenant), lambda one: one.target_id)
        found[f"{tenant}, kept parts"] = await _sorted(
            store.kept_parts(tenant), lambda one: (one.record_id, one.number)
        )
        found[f"{tenant}, others"] = await _sorted(store.unkept_parts(tenant), lambda one: (one.record_id, one.number))
        found[f"{tenant}, gaps"] = [one async for one in store.gaps(tenant)]
    return found


async def rows(store: RecordStore, tenant: str) -> Sequence[object]:
    """Each record as it is shown, and as it lies there; each again asked for alone, and in its conversation."""
    shown = await _sorted(store.records(tenant), lambda one: one.record_id)
    lying = await _sorted(store.sealed(tenant), lambda one: one.record_id)
    alone = [await store.record(tenant, one.record_id) for one in shown]
    assert alone == shown
    talks = sorted({one.record.envelope.conversation for one in shown})
    found = [await store.conversation(tenant, one) for one in talks]
    assert sum(map(len, found)) == len(shown) == len(lying)
    return [shown, lying, found]


async def _sorted(found: AsyncIterator[T], by: Callable[[T], str | tuple[str, int]]) -> list[T]:
    return sorted([one async for one in found], key=by)
