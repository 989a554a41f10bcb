"""Canaries go through everything, failures included; then everything is searched for them, in every form."""

from __future__ import annotations

import base64
import binascii
import json
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.mongo_servers import SharedMongo, private_mongo
from tests.s3_servers import private_s3, shared
from tests.stage.canaries import Canary, leaks
from tests.stage.flight import PHONE, Aftermath, Flight, Server
from tests.stage.home import Layout
from tests.stage.servers import ROLES, Servers, one_server
from tests.stage.stage import Stage, StageOptions
from tests.stage.stores import on_s3_mongo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTENT_COLUMNS = frozenset(
    {
        ("custody_pas", "records", "content"),
        ("custody_pas", "targets", "object_id"),
        ("custody_pas", "part_results", "sha256"),
        ("custody_pas", "part_states", "sha256"),
        ("custody_blobs", "blobs", "sha256"),
        ("custody_blobs", "blobs", "data"),
        ("custody_blobs", "chunks", "data"),
        ("custody_log", "entries", "value"),
        ("mongo", "records", "content"),
        ("mongo", "targets", "object_id"),
        ("mongo", "part_results", "sha256"),
        ("s3", "objects", "digest"),
        ("s3", "objects", "data"),
    }
)
"""Where content may stand. Secrets may not even stand there."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["postgres", "s3_mongo"])
async def aftermath(request: pytest.FixtureRequest) -> AsyncIterator[Aftermath]:
    """Everything there is to search, after everything that can happen to a message has happened to a canary."""
    telemetry = {"metrics": "console", "metrics_interval_seconds": 1.0, "traces": "console"}
    briefly = {"first_wait_seconds": 0.01, "most_wait_seconds": 0.01}  # so that every part has its tries in good time
    overrides = {"telemetry": telemetry, "log": {"entry_bytes": 8_192}, "workers": briefly}
    async with AsyncExitStack() as exits:
        folder = exits.enter_context(tempfile.TemporaryDirectory(prefix="custody-canary-"))
        postgres = await exits.enter_async_context(one_server())
        running: dict[str, Server] = {"postgres": postgres}
        layout = Layout()
        if request.param == "s3_mongo":
            mongo = await exits.enter_async_context(private_mongo())
            s3 = await exits.enter_async_context(private_s3())
            stores = await exits.enter_async_context(on_s3_mongo(SharedMongo(uri=mongo.uri()), shared(s3)))
            layout = Layout(main=stores)
            running |= {"mongo": mongo, "s3": s3}
        servers = await Servers.prepared(dict.fromkeys(ROLES, postgres))
        options = StageOptions(seed=7, overrides=overrides, layout=layout)
        stage = Stage(folder=Path(folder) / "stage", servers=servers, options=options)
        yield await Flight(stage=await exits.enter_async_context(stage), servers=running).flown()


async def test_the_canaries_went_through(aftermath: Aftermath) -> None:
    everywhere = b"".join(_columns(aftermath, content=True).values())
    missing = [one.name for one in aftermath.canaries if not one.secret and one.found_in(everywhere) is None]
    assert missing == []
    assert len(aftermath.logs["workers.log"]) > 10_000
    assert b"custody.webhook.bodies" in aftermath.logs["workers.log"], "no metrics were exported"
    assert b'"name": "fetch"' in aftermath.logs["workers.log"], "no traces were exported"


async def test_no_canary_in_any_log(aftermath: Aftermath) -> None:
    assert leaks(aftermath.canaries, aftermath.logs) == []


async def test_no_canary_in_the_log_of_any_server(aftermath: Aftermath) -> None:
    assert all(aftermath.server_logs.values())
    assert leaks(aftermath.canaries, aftermath.server_logs) == []


async def test_no_canary_on_any_command_line(aftermath: Aftermath) -> None:
    assert any(b"broker.cli" in line for line in aftermath.command_lines.values())
    assert leaks(aftermath.canaries, aftermath.command_lines) == []


async def test_no_canary_in_what_the_edge_answers(aftermath: Aftermath) -> None:
    assert leaks(aftermath.canaries, aftermath.answers) == []


async def test_no_canary_in_what_commands_say(aftermath: Aftermath) -> None:
    assert leaks(aftermath.canaries, aftermath.commands) == []


async def test_no_canary_in_any_column_but_those_of_content(aftermath: Aftermath) -> None:
    assert leaks(aftermath.canaries, _columns(aftermath, content=False)) == []


async def test_no_secret_in_any_column(aftermath: Aftermath) -> None:
    secrets = [one for one in aftermath.canaries if one.secret]
    assert leaks(secrets, _columns(aftermath, content=True)) == []


async def test_what_is_too_large_for_the_log_stands_in_records_and_blobs_alone(aftermath: Aftermath) -> None:
    (long,) = [one for one in aftermath.canaries if one.name == "long_text"]
    found = {name for name, held in _columns(aftermath, content=True).items() if long.found_in(held)}
    on_postgres = {"custody_pas.records.content", "custody_blobs.blobs.data"}
    assert (found >= on_postgres) != (found >= {"mongo.records.content", "s3.objects.data"})
    assert "custody_log.entries.value" not in found


def _columns(aftermath: Aftermath, *, content: bool) -> dict[str, bytes]:
    """What stands in the columns of content, or in all others."""
    return {".".join(name): held for name, held in aftermath.columns.items() if (name in CONTENT_COLUMNS) == content}


def _disguises() -> Iterator[tuple[str, bytes]]:
    word = PHONE.encode()
    yield "plain", b"to " + word
    yield "json", json.dumps({"to": PHONE}).encode()
    yield "hex", binascii.hexlify(b"x" + word)
    yield "percent", b"".join(b"%%%02X" % byte for byte in word)
    yield "escapes", "".join(f"\\u{byte:04x}" for byte in word).encode()
    yield "wamid", b"wamid." + base64.b64encode(b"\x1c\x18\x0e" + word + b"\x15\x02\x00")
    for before in range(3):
        yield f"base64 {before}", base64.b64encode(b"~" * before + word + b"??>>")
        yield f"url-safe {before}", base64.urlsafe_b64encode(b"~" * before + word + b"??>>")


@pytest.mark.parametrize(("name", "disguise"), list(_disguises()))
async def test_a_canary_is_found_in_every_disguise(name: str, disguise: bytes) -> None:
    assert leaks([Canary("phone", PHONE.encode())], {name: b"some line " + disguise + b" and more"})
