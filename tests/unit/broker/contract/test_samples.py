"""What the code that makes entries makes, held against the contract, and read by the CloudEvents SDK."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from broker.contract import files
from broker.contract.channels import CHANNELS
from broker.contract.entries import samples
from broker.core import codec
from broker.core.model import EraseCommand, FetchTask, KeptNotice, UnclaimedBody
from broker.core.ports import LogEntry
from broker.core.seal import entry_of
from broker.core.topics import Stream, split_topic
from broker.core.values import replace
from broker.workers.archive import redriven_entry
from tests.contract_reader import ContractReader
from tests.records import ACCOUNT, NOON, PROVIDER, Desk
from tests.unit.connectors.whatsapp_cloud.parse_samples import SAMPLES, sealed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from broker.core.ports import NewEntry

READER = ContractReader(files.read(files.HOME))
RELEASES = sorted(files.RELEASED.iterdir())
DECODED: dict[str, type[Any]] = {
    "kept": KeptNotice,
    "erasures": EraseCommand,
    "fetches": FetchTask,
    "bodies": UnclaimedBody,
}
each_entry = pytest.mark.parametrize("entry", samples().values(), ids=lambda one: one.topic)
each_release = pytest.mark.parametrize("release", RELEASES, ids=lambda one: one.name)


def problems(entry: NewEntry) -> list[str]:
    return READER.problems(entry.topic, entry.key, entry.headers, entry.value)


def every_record() -> Iterator[NewEntry]:
    """An entry of every record that tests can make."""
    for sample in SAMPLES:
        yield from map(entry_of, sealed(sample.items()))
    desk = Desk(1)
    photo = desk.image("media-1")
    yield from map(entry_of, (photo, desk.text("\0"), desk.text("a\ud800b"), desk.status(photo), desk.gap()))
    yield from map(entry_of, (desk.kept(photo), desk.lost(photo)))
    for outcome in ("erased", "retry"):
        yield entry_of(desk.receipt("tgt_1", outcome, retry_after_seconds=1.5), key=f"{PROVIDER}/{ACCOUNT}")


def changed(entry: NewEntry, header: str, text: str | None) -> NewEntry:
    headers = {name: value for name, value in entry.headers if name != header}
    if text is not None:
        headers[header] = text.encode()
    return replace(entry, headers=tuple(headers.items()))


def test_there_is_a_channel_and_a_sample_of_each_stream_that_carries_anything() -> None:
    wanted = set(Stream) - {Stream.OUTBOUND}
    assert {one.stream for one in CHANNELS} == set(samples()) == wanted


@each_entry
def test_a_sample_is_as_the_contract_says(entry: NewEntry) -> None:
    assert problems(entry) == []


def test_a_dead_letter_driven_again_is_as_the_contract_says() -> None:
    dead, message = samples()[Stream.DEAD], samples()[Stream.MESSAGES]
    again = redriven_entry(
        LogEntry(
            topic=dead.topic,
            partition=0,
            offset=0,
            key=dead.key,
            headers=dead.headers,
            value=dead.value,
            appended_at=NOON,
        )
    )
    assert (again.topic, again.key, again.value) == (message.topic, message.key, message.value)
    assert dict(again.headers).keys() - dict(message.headers).keys() == {"custody-origin", "custody-redrive-of"}
    assert problems(again) == []


def test_every_record_is_as_the_contract_says() -> None:
    entries = list(every_record())
    assert {split_topic(one.topic)[1] for one in entries} == {"messages", "statuses", "parts", "receipts"}
    assert [one for entry in entries for one in problems(entry)] == []


def test_what_is_not_as_the_contract_says_is_found() -> None:
    entry = samples()[Stream.KEPT]
    value = json.loads(entry.value)
    changes: tuple[dict[str, object], ...] = (
        {"kept_at": "yesterday"},
        {"keep_seq": "1"},
        {"position": {}},
        {"record_id": None},
    )
    for change in changes:
        assert problems(replace(entry, value=json.dumps(value | change).encode())) != []
    assert problems(changed(entry, "ce_id", None)) != []
    assert problems(changed(entry, "ce_time", "noon")) != []
    assert problems(replace(entry, topic="custody.acme.other.v1")) != []
    assert problems(replace(entry, key=b"another")) == ["kept: the key is not the conversation"]


def test_a_reader_passes_over_what_it_does_not_know() -> None:
    entry = samples()[Stream.MESSAGES]
    value = json.loads(entry.value)
    value["envelope"] |= {"kind": "of tomorrow", "mood": "sunny"}
    value["also"] = 1
    assert problems(replace(changed(entry, "ce_new", "1"), value=json.dumps(value).encode())) == []


@each_entry
def test_the_cloudevents_sdk_reads_a_sample(entry: NewEntry) -> None:
    event = from_binary(KafkaMessage(headers=dict(entry.headers), key=entry.key, value=entry.value), JSONFormat())
    headers = {name: value.decode() for name, value in entry.headers}
    assert event.get_id() == headers["ce_id"]
    assert event.get_source() == headers["ce_source"]
    assert event.get_type() == headers["ce_type"]
    assert event.get_subject() == headers["ce_subject"]
    assert event.get_time() is not None
    assert event.get_data() == json.loads(entry.value)


def test_no_two_events_of_one_source_share_an_id() -> None:
    made = [dict(one.headers) for one in samples().values()]
    assert len({(one["ce_source"], one["ce_id"]) for one in made}) == len(made)


def test_there_is_a_release_to_be_compatible_with() -> None:
    assert RELEASES


@each_release
def test_the_code_reads_the_entries_of_every_release(release: Path) -> None:
    for name, sample in files.read(release).samples.items():
        value = json.dumps(sample["value"]).encode()
        stream = name.removesuffix(".json")
        if stream in DECODED:
            codec.decode(value, DECODED[stream])
        else:
            codec.decode_record(value)


@each_release
def test_a_reader_of_today_reads_the_entries_of_every_release(release: Path) -> None:
    for sample in files.read(release).samples.values():
        headers = [(name, text.encode()) for name, text in sample["headers"].items()]
        value = json.dumps(sample["value"]).encode()
        assert READER.problems(sample["topic"], sample["key"].encode(), headers, value) == []


@each_release
def test_a_reader_of_every_release_reads_the_entries_of_today(release: Path) -> None:
    reader = ContractReader(files.read(release))
    for entry in samples().values():
        assert reader.problems(entry.topic, entry.key, entry.headers, entry.value) == []
