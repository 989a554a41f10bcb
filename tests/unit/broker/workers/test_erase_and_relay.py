"""Deletion commands and receipts: asked once, answered always, and honest about what may have been done before."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from broker.core import codec
from broker.core.errors import LogUnavailableError
from broker.core.identity import TenantKey
from broker.core.metrics import NoMetrics
from broker.core.model import EraseCommand, ErasureOutcome, ReceiptOutcome
from broker.core.ports import Bounds, ClaimedTarget, DeadLetter, EraseAnswer, LogEntry, NewEntry
from broker.core.registry import Account, Registry, Tenant
from broker.core.topics import TopicPartition
from broker.core.values import replace
from broker.workers.archive import dead_entry, redrive_of, redriven_entry
from broker.workers.erase import Erase
from broker.workers.relay import command_entry
from broker.workers.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = TopicPartition("custody.acme.erasures.v1", 0)
COMMAND = EraseCommand(
    tenant="acme",
    account="1",
    provider="p",
    target_id="tgt_a",
    object_kind="media",
    object_id="m",
    attempt=1,
    commanded_at=NOW,
)
TENANT = Tenant(name="acme", zone="UTC", key=TenantKey(bytes(32)))
ACCOUNT = Account(name="a", tenant="acme", app="x", provider="p", id="1", group="g", token="t")


@dataclass
class RecordingLog:
    """Takes entries in, or refuses so many times."""

    end: int = 0
    done: int = 0
    refusals: int = 0
    appended: list[NewEntry] = field(default_factory=list)

    async def append(self, entries: Sequence[NewEntry]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise LogUnavailableError("down")
        self.appended += entries

    async def bounds(self, topics: Sequence[str]) -> Mapping[TopicPartition, Bounds]:
        return {TopicPartition(topic, 0): Bounds(first=0, end=self.end) for topic in topics}

    async def committed(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        assert group == "erase"
        return {TopicPartition(topic, 0): self.done for topic in topics}

    def receipts(self) -> list[ReceiptOutcome]:
        return [codec.decode(codec.decode_record(entry.value).content.data, ReceiptOutcome) for entry in self.appended]


@dataclass
class Provider:
    """Answers deletes as told, and counts them."""

    answer: EraseAnswer
    asked: int = 0

    async def erase(self, account: Account, command: EraseCommand) -> EraseAnswer:
        assert account is ACCOUNT
        assert command.object_id == "m"
        self.asked += 1
        return self.answer


def eraser(log: RecordingLog, provider: Provider, registry: Callable[[], Registry] | None = None) -> Erase:
    known = Registry(tenants={"acme": TENANT}, apps={}, accounts={"a": ACCOUNT})
    return Erase(
        log=log,  # type: ignore[arg-type]
        connectors={"p": provider},  # type: ignore[dict-item]
        registry=registry or (lambda: known),
        witness=Witness(clock=lambda: NOW),
        metrics=NoMetrics(),
        clock=lambda: NOW,
        entropy=bytes,
    )


def entry_of_command(command: EraseCommand, offset: int = 0) -> LogEntry:
    made = command_entry(ClaimedTarget(command=command, conversation="cnv_a"))
    return LogEntry(
        topic=made.topic,
        partition=0,
        offset=offset,
        key=made.key,
        headers=made.headers,
        value=made.value,
        appended_at=NOW,
    )


async def test_a_command_gets_one_receipt() -> None:
    log, provider = RecordingLog(), Provider(EraseAnswer(outcome=ErasureOutcome.ERASED, evidence="http 200"))
    await eraser(log, provider).handle([entry_of_command(COMMAND)])
    (receipt,) = log.receipts()
    assert (receipt.outcome, receipt.attempt, receipt.repeated) == ("erased", 1, False)
    assert receipt.witnessed


async def test_a_batch_tried_again_does_not_ask_the_provider_twice() -> None:
    log = RecordingLog(refusals=1)
    provider = Provider(EraseAnswer(outcome=ErasureOutcome.ERASED, evidence="http 200"))
    one = eraser(log, provider)
    with pytest.raises(LogUnavailableError):
        await one.handle([entry_of_command(COMMAND)])
    await one.handle([entry_of_command(COMMAND)])
    assert provider.asked == 1
    assert len(log.receipts()) == 1


async def test_a_command_that_lay_there_at_the_start_may_have_been_carried_out_before() -> None:
    log = RecordingLog(end=5)
    one = eraser(log, Provider(EraseAnswer(outcome=ErasureOutcome.ABSENT, evidence="http 400 code 100")))
    await one.start_at(frozenset({PLACE}))
    await one.handle([entry_of_command(COMMAND, 4), entry_of_command(replace(COMMAND, target_id="tgt_b"), 5)])
    assert [receipt.repeated for receipt in log.receipts()] == [True, False]


async def test_only_two_batches_can_have_been_carried_out_before() -> None:
    log = RecordingLog(end=100, done=30)
    one = eraser(log, Provider(EraseAnswer(outcome=ErasureOutcome.ABSENT, evidence="http 400 code 100")))
    await one.start_at(frozenset({PLACE}))
    last = 30 + 2 * one.batch_entries
    batch = [(last - 1, "tgt_a"), (last, "tgt_b")]
    await one.handle([entry_of_command(replace(COMMAND, target_id=target), offset) for offset, target in batch])
    assert [receipt.repeated for receipt in log.receipts()] == [True, False]


async def test_an_unregistered_account_is_blocked_and_nobody_is_asked() -> None:
    log, provider = RecordingLog(), Provider(EraseAnswer(outcome=ErasureOutcome.ERASED, evidence=""))
    nobody = Registry(tenants={"acme": TENANT}, apps={}, accounts={})
    await eraser(log, provider, lambda: nobody).handle([entry_of_command(COMMAND)])
    (receipt,) = log.receipts()
    assert (receipt.outcome, receipt.evidence, provider.asked) == ("blocked", "unregistered", 0)


def test_keys_and_headers_of_a_command_name_no_provider_object() -> None:
    made = command_entry(ClaimedTarget(command=replace(COMMAND, object_id="secret-media"), conversation="cnv_a"))
    assert b"secret-media" not in b"".join((made.key, *(value for _, value in made.headers)))


def test_a_dead_letter_goes_back_as_it_came_and_says_so() -> None:

    came = LogEntry(
        topic="custody.acme.messages.v1",
        partition=3,
        offset=9,
        key=b"cnv_a",
        headers=(("ce_id", b"rec_a"), ("ce_type", b"custody.message.v1")),
        value=b"\x00bytes",
        appended_at=NOW,
    )
    dead = dead_entry(came, DeadLetter(code="unstorable", attempts=2, at=NOW), "acme")
    assert dead.topic == "custody.acme.dead.v1"
    lies = LogEntry(
        topic=dead.topic,
        partition=0,
        offset=0,
        key=dead.key,
        headers=dead.headers,
        value=dead.value,
        appended_at=NOW,
    )
    again = redriven_entry(lies)
    assert (again.topic, again.key, again.value) == (came.topic, came.key, came.value)
    back = replace(came, headers=again.headers, offset=20)
    assert back.event_id == "rec_a"
    assert redrive_of(back) == (TopicPartition("custody.acme.messages.v1", 3), 9)
    assert redrive_of(came) is None
