"""An installation for a test: settings, a registry, servers, and the command, run in this process."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import secrets
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from broker import app, cli
from broker.core.metrics import NoMetrics
from broker.core.seal import entry_of
from broker.core.topics import ARCHIVED_STREAMS, TopicPartition, topic_name
from broker.workers.archive import Archive
from tests.mongo_servers import as_login
from tests.s3_servers import bucket_name
from tests.servers import as_role
from tests.unit.broker import registry_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    import pytest

    from broker.core.model import Record
    from broker.core.ports import EventLog, LogEntry, RecordStore
    from broker.settings import Settings
    from broker.store_settings import StoreName
    from tests.s3_servers import SharedS3

TENANT = "acme"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON is what it is
        """Its standard output, which is exactly one JSON document."""
        return json.loads(self.out)


@dataclass(slots=True, kw_only=True)
class Installation:
    """Where the settings lie. `kept` says how far each partition was archived."""

    folder: Path
    admin_dsn: str
    _kept: dict[TopicPartition, int] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return app.settings_of(self.folder / "settings.toml")

    async def custody(self, *arguments: str, stdin: bytes = b"") -> Said:
        """Runs a command to its end."""
        return await asyncio.to_thread(said, *arguments, stdin=stdin)

    @asynccontextmanager
    async def servers(self) -> AsyncIterator[tuple[EventLog, RecordStore]]:
        """The log and the record store, open."""
        log, store = await app.open_log(self.settings), await app.open_records(self.settings)
        try:
            yield log, store
        finally:
            await log.close()
            await store.close()

    async def append(self, *records: Record) -> None:
        """Puts records on the log, as the edge would."""
        async with self.servers() as (log, _):
            await log.append([entry_of(record) for record in records])

    async def archive(self, *, kill: Sequence[str] = ()) -> None:
        """Keeps what is on the log, and sets the records of `kill` aside."""
        async with self.servers() as (log, store):
            keeper = Archive(
                log=log,
                store=store,
                registry=lambda: app.registry(self.settings),
                capabilities=app.capabilities(self.settings),
                metrics=NoMetrics(),
                clock=app.now,
                entropy=secrets.token_bytes,
            )
            for entry in await self._entries(log):
                if entry.event_id in kill and not entry.header("custody-redrive-of"):
                    await keeper.set_aside(entry, ValueError(), 3)
                else:
                    await keeper.handle([entry])

    def begin_again(self) -> None:
        """Archives from the first entry again, as where a store is behind."""
        self._kept.clear()

    async def _entries(self, log: EventLog) -> list[LogEntry]:
        found: list[LogEntry] = []
        for place in await log.bounds([topic_name(TENANT, stream) for stream in ARCHIVED_STREAMS]):
            entries = await log.read(place, self._kept.get(place, 0), max_entries=1000)
            self._kept[place] = self._kept.get(place, 0) + len(entries)
            found += entries
        return found


def said(*arguments: str, stdin: bytes = b"") -> Said:
    """Runs the command in this process. Nothing but its exit code gets out of it."""
    out, err = _stream(), _stream()
    with _logging_as_before(), redirect_stdout(out), redirect_stderr(err), _standard_input(stdin):
        try:
            code = cli.main(list(arguments))
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
    return Said(code=code, out=_text(out), err=_text(err))


def lay_out(
    folder: Path, admin_dsn: str, *, log: str | None = None, stores: Mapping[str, str] | None = None
) -> Installation:
    """Settings and registry in a folder, for one database that holds log, records and blobs, each with its login.

    `log` are the settings of another log, `stores` those of records and blobs that rest elsewhere: see `on_s3_mongo`.
    """
    mark = secrets.token_hex(4)
    own = {name: as_role(admin_dsn, f"test_{mark}_{name}", mark) for name in ("log", "records", "blobs")}
    sections = {
        name: f'dsn = "{dsn}"\nadmin_dsn = "{admin_dsn}"\nallow_unsafe_server = true\n' for name, dsn in own.items()
    }
    sections |= {"log": f"{log}\n"} if log is not None else {}
    sections |= stores or {}
    top = f'profile = "demo"\nregistry = "custody.toml"\npartitions = 2\nstore = "{_store(stores)}"\n'
    settings = folder / "settings.toml"
    settings.touch(mode=0o600)
    settings.write_text(top + "\n".join(f"[{name}]\n{section}" for name, section in sections.items()))
    registry_files.write(folder)
    return Installation(folder=folder, admin_dsn=admin_dsn)


def on_s3_mongo(uri: str, s3: SharedS3) -> Mapping[str, str]:
    """The settings of records on a MongoDB, by its superuser's URI, and of blobs in a bucket of their own."""
    mark = secrets.token_hex(4)
    place = f'bucket = "{bucket_name()}"\nendpoint = "{s3.endpoint}"\npath_style = true\n'
    return {
        "records": f'uri = "{as_login(uri, f"test_{mark}_records", mark)}"\nadmin_uri = "{uri}"\n',
        "blobs": f'{place}access_key = "{s3.access_key}"\nsecret_key = "{s3.secret_key}"\n',
    }


def _store(stores: Mapping[str, str] | None) -> StoreName:
    if stores is None:
        return "postgres"
    return "s3_mongo" if "records" in stores else "s3_postgres"


def use(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points the command at an installation."""
    monkeypatch.setenv("CUSTODY_SETTINGS", str(installation.folder / "settings.toml"))


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


@contextmanager
def _standard_input(data: bytes) -> Iterator[None]:
    import sys  # noqa: PLC0415 - nothing else here touches it

    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
    try:
        yield
    finally:
        sys.stdin = before


@contextmanager
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        structlog.reset_defaults()
        root.handlers[:], root.level = handlers, level
