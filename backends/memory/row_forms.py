"""What is in memory as rows, table by table, and back. A row is read as a tuple, and written by column name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import UNSET

from backends.memory.tables import Dead, Gap, Named, Receipt, Result, Tables, Target, Told
from broker.core import rows as columns
from broker.core.erasure import TargetState
from broker.core.model import PartOutcome, PartState
from broker.core.plan import DeadRow, PartRow, RecordRow, TargetRow
from broker.core.ports import DeadLetter
from broker.core.rows import RECORD_COLUMNS
from broker.core.tables import (
    DEAD_LETTERS,
    GAPS,
    PART_RESULTS,
    PARTS,
    PROGRESS,
    RECEIPTS,
    RECORDS,
    TALLIES,
    TARGETS,
    UNSEEN,
    Row,
    Table,
)
from broker.core.topics import Stream, TopicPartition, split_topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.plan import TallyKey

Values: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """One table's rows: how they are read, and how one is written."""

    read: Callable[[Tables], Iterator[Row]]
    write: Callable[[Tables, Values], None]


def whole(value: object) -> int:
    """A column that holds a whole number."""
    if not isinstance(value, int):
        raise TypeError("not a whole number")
    return value


def _row(table: Table, names: Sequence[str], values: Sequence[object]) -> Row:
    found = dict(zip(names, values, strict=True))
    return tuple(tuple(one) if isinstance(one, list) else one for one in (found[name] for name in table.columns))


def _records(tables: Tables) -> Iterator[Row]:
    for key, row in tables.records.items():
        yield _row(RECORDS, RECORD_COLUMNS, columns.record_values(row, tables.row_numbers[key]))


def _write_record(tables: Tables, row: Values) -> None:
    key = (row["tenant"], row["record_id"])
    tables.records[key] = RecordRow(
        record_id=row["record_id"],
        variant_of=row["variant_of"],
        stream=row["stream"],
        worker_made=row["worker_made"],
        record=columns.kept_record(row).record,
        envelope=row["envelope"],
        arrival=row["arrival"],
        record_digest=row["record_digest"],
        arrival_digest=row["arrival_digest"],
        keep_seq=row["keep_seq"],
        kept_at=row["kept_at"],
    )
    tables.row_numbers[key] = row["row_number"]


def _parts(tables: Tables) -> Iterator[Row]:
    for named in tables.parts.values():
        yield _row(PARTS, columns.PART_COLUMNS, columns.part_values(named.part, named.kept_at))


def _write_part(tables: Tables, row: Values) -> None:
    part = PartRow(**{name: row[name] for name in PARTS.columns if name != "kept_at"})
    tables.parts[part.tenant, part.record_id, part.number] = Named(part=part, kept_at=row["kept_at"])


def _results(tables: Tables) -> Iterator[Row]:
    names = (*columns.RESULT_COLUMNS, "shared", "result_number")
    for (tenant, origin_id, fingerprint, number), results in tables.results.items():
        for one in results:
            values = dict(
                zip(
                    names,
                    (*columns.result_values(tenant, one.outcome, one.kept_at), one.shared, one.order),
                    strict=True,
                )
            )
            values |= {"origin_id": origin_id, "fingerprint": fingerprint, "number": number}
            yield tuple(values[name] for name in PART_RESULTS.columns)


def _write_result(tables: Tables, row: Values) -> None:
    def given(name: str) -> Any:  # noqa: ANN401 - each column has its own type
        return UNSET if row[name] is None else row[name]

    outcome = PartOutcome(
        record_id=row["origin_id"],
        fingerprint=row["fingerprint"],
        number=row["number"],
        target_id=row["target_id"],
        state=PartState(row["state"]),
        salt=b"",
        reason=given("reason"),
        size=given("size"),
        sha256=given("sha256"),
        place=given("place"),
        version=given("version"),
        witnessed=row["witnessed"],
    )
    delivery = (row["tenant"], row["origin_id"], row["fingerprint"], row["number"])
    result = Result(outcome=outcome, kept_at=row["kept_at"], order=row["result_number"], shared=row["shared"])
    tables.results[delivery].append(result)


def _targets(tables: Tables) -> Iterator[Row]:
    names = (*columns.TARGET_COLUMNS, "state", "reason", "due_at", "attempt")
    for one in tables.targets.values():
        stands = (str(one.state), one.reason, one.due_at, one.attempt)
        yield _row(TARGETS, names, (*columns.target_values(one.row, one.changed_at), *stands))


def _write_target(tables: Tables, row: Values) -> None:
    own = ("tenant", "target_id", "account", "provider", "conversation", "object_kind")
    tables.targets[row["tenant"], row["target_id"]] = Target(
        row=TargetRow(
            **{name: row[name] for name in own}, object_id=columns.object_id_of(row), policy=columns.policy_of(row)
        ),
        changed_at=row["changed_at"],
        state=TargetState(row["state"]),
        due_at=row["due_at"],
        reason=row["reason"],
        attempt=row["attempt"],
    )


def _receipts(tables: Tables) -> Iterator[Row]:
    for (tenant, target_id, number), one in tables.receipts.items():
        yield target_id, number, tenant, one.attempt, one.outcome, one.evidence, one.witnessed, one.at


def _write_receipt(tables: Tables, row: Values) -> None:
    receipt = Receipt(**{name: row[name] for name in ("attempt", "outcome", "evidence", "witnessed", "at")})
    tables.add_receipt((row["tenant"], row["target_id"]), receipt, row["receipt_number"])


def _gaps(tables: Tables) -> Iterator[Row]:
    for (tenant, record_id), gap in tables.gaps.items():
        state = "open" if gap.is_open else "closed"
        yield record_id, tenant, gap.cause, state, gap.told.account, gap.told.received_at


def _write_gap(tables: Tables, row: Values) -> None:
    key = (row["tenant"], row["record_id"])
    stream = tables.records[key].stream if key in tables.records else ""
    told = Told(account=row["account"], stream=stream, received_at=row["received_at"])
    tables.gaps[key] = Gap(cause=row["cause"], told=told, is_open=row["state"] == "open")


def _unseen(tables: Tables) -> Iterator[Row]:
    for (tenant, record_id), told in tables.unseen.items():
        yield record_id, tenant, told.account, told.received_at


def _write_unseen(tables: Tables, row: Values) -> None:
    told = Told(account=row["account"], stream=Stream.STATUSES, received_at=row["received_at"])
    tables.unseen[row["tenant"], row["record_id"]] = told


def _dead(tables: Tables) -> Iterator[Row]:
    for (log, (place, offset)), one in tables.dead.items():
        letter, state = one.row.letter, "open" if one.is_open else "settled"
        yield (
            *(log, place.topic, place.partition, offset, one.row.tenant, one.row.gap_record_id),
            *(one.told.account, one.told.received_at, letter.code, letter.attempts, letter.at, state),
        )


def _write_dead(tables: Tables, row: Values) -> None:
    key = (_place(row), row["log_offset"])
    letter = DeadLetter(code=row["code"], attempts=row["attempts"], at=row["at"])
    tables.dead[row["log"], key] = Dead(
        row=DeadRow(tenant=row["tenant"], key=key, gap_record_id=row["gap_record_id"], letter=letter),
        told=Told(account=row["account"], stream=split_topic(row["topic"])[1], received_at=row["received_at"]),
        is_open=row["state"] == "open",
    )


def _tallies(tables: Tables) -> Iterator[Row]:
    for counted in tables.entries.keys() | tables.duplicates.keys():
        log, place, (tenant, account, bucket) = counted
        amounts = tables.entries[counted], tables.duplicates[counted]
        yield log, place.topic, place.partition, account, bucket, tenant, *amounts


def _write_tally(tables: Tables, row: Values) -> None:
    key: TallyKey = (row["tenant"], row["account"], row["bucket"])
    counted = (row["log"], _place(row), key)
    tables.entries[counted], tables.duplicates[counted] = row["entries"], row["duplicates"]


def _progress(tables: Tables) -> Iterator[Row]:
    names = (*columns.PROGRESS_COLUMNS, "tenant", "successor")
    for (log, place), one in tables.progress.items():
        values = columns.progress_values(place, one, log)
        yield _row(PROGRESS, names, (*values, split_topic(place.topic)[0], one.successor))


def _write_progress(tables: Tables, row: Values) -> None:
    if row["next_offset"] is not None:  # else it says nothing yet
        tables.progress[row["log"], _place(row)] = columns.one_progress(row)


def _place(row: Values) -> TopicPartition:
    return TopicPartition(row["topic"], row["partition"])


FORMS: Mapping[str, Form] = {
    RECORDS.name: Form(_records, _write_record),
    PARTS.name: Form(_parts, _write_part),
    PART_RESULTS.name: Form(_results, _write_result),
    TARGETS.name: Form(_targets, _write_target),
    RECEIPTS.name: Form(_receipts, _write_receipt),
    GAPS.name: Form(_gaps, _write_gap),
    UNSEEN.name: Form(_unseen, _write_unseen),
    DEAD_LETTERS.name: Form(_dead, _write_dead),
    TALLIES.name: Form(_tallies, _write_tally),
    PROGRESS.name: Form(_progress, _write_progress),
}
