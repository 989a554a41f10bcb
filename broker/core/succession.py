"""A log that takes another one's place, after a migration: what has to hold, and what is written. Pure.

Offsets differ between two logs, so the new one is read from its first entry: what was kept already is known by its
record id and counted as a duplicate, and nothing is skipped. The old log's progress is final; its counts go on in the
account of the new one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from broker.core.errors import AdoptionRefusedError
from broker.core.losses import LOST
from broker.core.plan import KeepPlan, place_of_record, record_row

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from broker.core.ports import Adoption, Progress
    from broker.core.topics import TopicPartition


def plan_adoption(
    adoption: Adoption, before: Mapping[TopicPartition, Progress], *, known: Collection[tuple[str, str]], now: datetime
) -> KeepPlan | None:
    """What is written of the old log: a gap record for each partition whose end nobody knows. None: done already.

    `before` is the tenant's progress in the old log. `known` are those of the gap records, by tenant and record id,
    that are there: a log that came back and is left once more says the same gap again.
    `AdoptionRefusedError`: nothing may be written.
    """
    if adoption.log == adoption.predecessor:
        raise AdoptionRefusedError(f"{adoption.log} can't take its own place; nothing was written")
    successors = {one.successor for one in before.values()}
    if not before or successors - {None, adoption.log}:
        raise AdoptionRefusedError(
            f"{adoption.predecessor} is no log that {adoption.tenant} was kept from and that none has taken the place "
            "of; nothing was written. Those that are: custody log show"
        )
    if successors == {adoption.log}:
        return None
    plan = KeepPlan(progress={})
    for gap in adoption.gaps:
        if (adoption.tenant, gap.envelope.record_id) in known:
            continue
        place = place_of_record(gap)[0]
        progress = plan.progress.get(place, before[place])
        row = record_row(
            gap,
            record_id=gap.envelope.record_id,
            variant_of=None,
            worker_made=True,
            keep_seq=progress.keep_seq + 1,
            kept_at=now,
        )
        plan.rows.append(row)
        plan.gaps.append((adoption.tenant, row.record_id, LOST))
        plan.progress[place] = replace(progress, keep_seq=row.keep_seq)
    return plan
