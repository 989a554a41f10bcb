"""docs/subscribing.md: its examples are the files beside it, and read from a real Kafka what the code wrote."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from backends.postgres.blobs import CHUNK_BYTES, PostgresBlobs
from backends.postgres.migrate import migrate
from backends.postgres.sql import BLOBS
from broker.core import codec, identity
from broker.core.ports import Answer, DeadLetter, LogEntry, NewEntry
from broker.core.seal import entry_of
from broker.core.topics import tenant_topics
from broker.core.values import replace
from broker.workers.archive import dead_entry, kept_entry, redriven_entry
from tests.contract.blob_store import pieces
from tests.records import ACCOUNT, NOON, PROVIDER, Desk
from tests.servers import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence

    from broker.core.model import Record
    from tests.kafka_servers import SharedKafka

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples" / "subscribing"
TEXT = (ROOT / "docs" / "subscribing.md").read_text(encoding="utf-8")
INCLUDED = re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```\n", TEXT, re.DOTALL)
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
(PRINTED,) = re.findall(r"```text\n(messages .*?)```", TEXT, re.DOTALL)
ADDRESS, SAMPLE_TENANT = "127.0.0.1:9092", "example-life"
SECONDS = 120.0


# --- Kafka, and what is in it ---


@pytest.fixture
def kafka(kafka_server: SharedKafka) -> str:
    """The address of a real Kafka."""
    return ",".join(kafka_server.bootstrap)


@pytest.fixture
def tenant(kafka: str) -> Iterator[str]:
    """A tenant of the test's own, whose topics go with it."""
    name = f"t{secrets.token_hex(4)}"
    specs = tenant_topics(name, partitions=2, retention_days=1)
    admin = AdminClient({"bootstrap.servers": kafka})
    for created in admin.create_topics([NewTopic(one.name, one.partitions, 1) for one in specs]).values():
        created.result()
    yield name
    forget(kafka, name)


@pytest.fixture
async def samples(kafka: str) -> AsyncIterator[None]:
    """The samples, published as the document says."""
    forget(kafka, SAMPLE_TENANT)
    async with running(command("publish_samples", kafka)) as publisher:
        assert await publisher.lines(2) == ["8 entries"]
        code, _, complaint = await publisher.ended()  # a broker that just started has the client warn, and try again
        assert code == 0, complaint
    yield
    forget(kafka, SAMPLE_TENANT)


def forget(kafka: str, tenant: str) -> None:
    """Takes a tenant's topics away, and with them what groups committed there."""
    admin = AdminClient({"bootstrap.servers": kafka})
    topics = [one for one in admin.list_topics().topics if one.startswith(f"custody.{tenant}.")]
    for gone in admin.delete_topics(topics).values() if topics else ():
        gone.result()


def publish(kafka: str, entries: Sequence[NewEntry]) -> None:
    """Appends entries."""
    producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
    for one in entries:
        producer.produce(one.topic, key=one.key, headers=list(one.headers), value=one.value)
    assert producer.flush(SECONDS) == 0


# --- what the code writes ---


def written(tenant: str) -> list[NewEntry]:
    """What subscribers may meet: repetitions, a variant, a redrive, what has no JSON, and what is newer than they."""
    desk = Desk(5, tenant=tenant)
    photo, text = desk.image("media-1"), desk.text("first", native="wamid.1")
    variant, strange = desk.text("second", native="wamid.1"), desk.text("a\ud800b\0")
    records = (photo, text, text, variant, strange, desk.status(photo), desk.gap(), desk.kept(photo), desk.lost(photo))
    receipt = entry_of(desk.receipt("tgt_1", "erased"), key=f"{PROVIDER}/{ACCOUNT}")
    dead = dead_entry(lying(entry_of(text)), DeadLetter(code="unstorable", attempts=2, at=NOON), tenant)
    return [
        *map(entry_of, records),
        receipt,
        redriven_entry(lying(dead)),
        kept(desk, text),
        kept(desk, variant, variant_of=text.envelope.record_id),
        of_tomorrow(entry_of(desk.text("later"))),
    ]


def lying(entry: NewEntry) -> LogEntry:
    return LogEntry(
        topic=entry.topic,
        partition=0,
        offset=0,
        key=entry.key,
        headers=entry.headers,
        value=entry.value,
        appended_at=NOON,
    )


def kept(desk: Desk, record: Record, *, variant_of: str | None = None) -> NewEntry:
    answer = Answer(
        outcome="variant" if variant_of else "stored",
        record_id=identity.variant_id(variant_of, b"other") if variant_of else record.envelope.record_id,
        record_digest=identity.record_digest(codec.canonical(record.envelope)).hex(),
        keep_seq=1,
        kept_at=NOON,
        variant_of=variant_of,
    )
    entry = kept_entry(desk.arrive(record).record, answer)
    assert entry is not None
    return entry


def of_tomorrow(entry: NewEntry) -> NewEntry:
    """An entry as a later version may write it."""
    value = json.loads(entry.value)
    value["envelope"] |= {"kind": "poll", "type": "opened", "mood": {"sunny": True}}
    value["content"] |= {"encoding": "custody/sealed+cbor", "key_id": "key-1"}
    headers = dict(entry.headers) | {"ce_type": b"custody.poll.v1", "ce_mood": b"sunny"}
    return replace(entry, value=json.dumps(value).encode(), headers=tuple(headers.items()))


# --- the examples, running ---


def command(example: str, kafka: str) -> list[str]:
    """The document's command for an example, at another address."""
    (line,) = (one for one in COMMANDS if example in one)
    return shlex.split(line.replace(ADDRESS, kafka))


class Running:
    """A process, and the lines it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def lines(self, count: int, *, like: str = "") -> list[str]:
        """So many lines of its output that match; fewer if it ends before."""
        assert self._process.stdout is not None
        found: list[str] = []
        async with asyncio.timeout(SECONDS):
            while len(found) < count and (line := await self._process.stdout.readline()):
                found += [line.decode().rstrip()] if re.match(like, line.decode()) else []
        return found

    async def ended(self) -> tuple[int, str, str]:
        """Its exit code, what else it printed, and what it complained of."""
        async with asyncio.timeout(SECONDS):
            output, complaint = await self._process.communicate()
        return self._process.returncode or 0, output.decode(), complaint.decode()


@contextlib.asynccontextmanager
async def running(words: Sequence[str], *, folder: Path = ROOT) -> AsyncGenerator[Running]:
    """A process from its start to its end."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, cwd=folder, stdout=pipe, stderr=pipe)
    try:
        yield Running(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.communicate(), SECONDS / 4)  # a process is not over while its pipes are full
        except TimeoutError:
            process.kill()
            await process.communicate()


def contract_reader(kafka: str, tenant: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / "from_the_contract.py"), kafka, tenant, str(ROOT / "broker" / "contract")]


# --- tests ---


def test_the_document_shows_every_file_of_the_examples_as_it_is() -> None:
    assert {name for name, _ in INCLUDED} == {one.name for one in EXAMPLES.iterdir() if one.is_file()} - {
        "publish_samples.py"
    }
    for name, code in INCLUDED:
        assert code == (EXAMPLES / name).read_text(encoding="utf-8"), name


def test_the_example_from_the_contract_has_no_word_of_ours() -> None:
    code = (EXAMPLES / "from_the_contract.py").read_text(encoding="utf-8")
    assert not re.search(r"^(from|import) (broker|backends|connectors)\b", code, re.MULTILINE)
    assert "custody." not in code, "a topic"


@pytest.mark.usefixtures("samples")
async def test_faststream_reads_what_the_document_says(kafka: str) -> None:
    async with running(command("with_faststream", kafka)) as reader:
        assert sorted(await reader.lines(2, like="messages|kept")) == sorted(PRINTED.splitlines())


@pytest.mark.usefixtures("samples")
async def test_the_contract_alone_reads_all_that_is_for_subscribers(kafka: str) -> None:
    async with running(command("from_the_contract", kafka)) as reader:
        found = await reader.lines(5)
    assert {one.split()[0] for one in found} == {"messages", "statuses", "kept", "parts", "receipts"}


@pytest.mark.usefixtures("samples")
async def test_java_reads_what_the_document_says(kafka: str, tmp_path: Path) -> None:
    if not (shutil.which("java") and shutil.which("mvn")):
        unavailable("java and mvn, for the example in Java")
    for name in ("Subscribe.java", "pom.xml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    async with running(command("mvn", kafka), folder=tmp_path) as maven:
        code, printed, _ = await maven.ended()  # it complains on standard output
    if code:
        unavailable(f"the libraries of the example in Java: {printed[-500:]}")
    async with running(command("java -cp", kafka), folder=tmp_path) as reader:
        assert sorted(await reader.lines(2)) == sorted(PRINTED.splitlines())


async def test_the_contract_alone_reads_everything_that_the_code_writes(kafka: str, tenant: str) -> None:
    entries = written(tenant)
    publish(kafka, entries)
    headers = [dict(one.headers) for one in entries]
    expected = [
        f"{one.topic.split('.')[2]} {header['ce_type'].decode()} {header['ce_id'].decode()}"
        for one, header in zip(entries, headers, strict=True)
    ]
    async with running(contract_reader(kafka, tenant)) as reader:
        assert sorted(await reader.lines(len(expected))) == sorted(expected)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda one: replace(one, value=b'{"record_id": 7}'), "ValidationError"),
        (lambda one: replace(one, headers=(("ce_id", b"1"),)), "ValidationError"),
        (lambda one: replace(one, value=b"no JSON"), "JSONDecodeError"),
    ],
    ids=["value", "headers", "JSON"],
)
async def test_the_contract_alone_stops_at_what_is_not_as_it_says(
    kafka: str, tenant: str, spoil: Callable[[NewEntry], NewEntry], complaint: str
) -> None:
    desk = Desk(6, tenant=tenant)
    good = kept(desk, desk.text())
    publish(kafka, [good, spoil(good)])
    async with running(contract_reader(kafka, tenant)) as reader:
        assert len(await reader.lines(2)) == 1
        code, _, said = await reader.ended()
    assert code == 1
    assert complaint in said


async def test_faststream_hands_over_again_what_the_code_failed_on(kafka: str, tenant: str) -> None:
    """The policy it names matters: by FastStream's default, the entry would be passed over."""
    broken = replace(entry_of(Desk(7, tenant=tenant).text()), value=b'{"envelope": {}}')
    publish(kafka, [broken])
    words = [sys.executable, str(EXAMPLES / "with_faststream.py"), kafka, tenant]
    async with running(words) as reader:
        assert len(await reader.lines(3, like="KeyError")) == 3


async def test_the_document_tells_how_to_read_the_bytes_of_a_part(database: str) -> None:
    (statement,) = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)
    await migrate(database, BLOBS)
    blobs = await PostgresBlobs.connect(database)
    connection = await asyncpg.connect(database)
    try:
        for place, data in {"acme/rec_a/1": b"small", "acme/rec_a/2": secrets.token_bytes(3 * CHUNK_BYTES + 7)}.items():
            await blobs.put(place, pieces(data), max_bytes=10 * CHUNK_BYTES)
            assert await connection.fetchval(statement, place) == data
    finally:
        await connection.close()
        await blobs.close()
