"""The commands that go on until they are told to stop, as programs of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
import pytest_asyncio

from broker import app
from broker.demo.ports import free_ports
from broker.run import WORKERS
from broker.settings import EmbeddedSettings, Settings
from tests.e2e.installation import Installation, lay_out, on_s3_mongo, said, use

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SECONDS = 60.0


async def started(*arguments: str, settings: Path | None = None) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "broker.cli",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment | ({"CUSTODY_SETTINGS": str(settings)} if settings else {}),
    )


async def ended(process: asyncio.subprocess.Process, number: signal.Signals) -> tuple[int, bytes]:
    process.send_signal(number)
    async with asyncio.timeout(_SECONDS):
        code = await process.wait()
        return code, await process.stderr.read() if process.stderr is not None else b""


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def answered(url: str) -> int:
    """The status of the first answer there is."""
    async with asyncio.timeout(_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    return answer.status
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


@pytest.fixture(params=["postgres", "s3_mongo"])
def stores(request: pytest.FixtureRequest) -> Mapping[str, str] | None:
    if request.param == "postgres":
        return None
    return on_s3_mongo(request.getfixturevalue("mongo_database"), request.getfixturevalue("s3_server"))


@pytest_asyncio.fixture
async def here(
    tmp_path: Path, database: str, stores: Mapping[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> Installation:
    installation = lay_out(tmp_path, database, stores=stores)
    use(installation, monkeypatch)
    assert (await installation.custody("init", "--logins")).code == 0
    return installation


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_simulate_says_where_it_answers_and_stops_on_a_signal(number: signal.Signals) -> None:
    process = await started("simulate", "--json")
    assert process.stdout is not None
    told = json.loads(await asyncio.wait_for(process.stdout.readline(), _SECONDS))
    assert await answered(f"{told['control_url']}/idle") == 401
    bearer = {"Authorization": f"Bearer {told['control_token']}"}
    async with (
        aiohttp.ClientSession(headers=bearer) as session,
        session.get(f"{told['control_url']}/idle") as answer,
    ):
        assert answer.status == 200
    code, err = await ended(process, number)
    assert (code, err) == (0, b"")


def test_simulate_refuses_settings_that_do_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "simulator.toml"
    file.write_text("apps = 3\nwabas = []\nnumbers = []\n")
    told = said("simulate", "--config", str(file))
    assert (told.code, len(told.err.splitlines())) == (2, 1)
    assert "--config: " in told.err


async def test_an_interrupted_command_is_exit_code_130(tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text("{}")
    process = await started("parse", "whatsapp_cloud", str(body), "-")
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), _SECONDS), "and now it waits for standard input"
    code, err = await ended(process, signal.SIGINT)
    assert (code, err) == (130, b"")


async def test_run_serves_until_sigterm_and_leaves_nothing_unsaid(here: Installation) -> None:
    (port,) = free_ports(1)
    settings = here.folder / "settings.toml"
    settings.write_text(settings.read_text() + f'\n[edge]\nport = {port}\n[telemetry]\nlog_format = "json"\n')
    process = await started("run", settings=settings)
    assert await answered(f"http://127.0.0.1:{port}/health/ready") == 200
    code, err = await ended(process, signal.SIGTERM)
    assert code == 0, err
    events = [json.loads(line) for line in err.splitlines()]
    stopped = {one["worker"] for one in events if one.get("action") == "run.stopped"}
    assert stopped == set(WORKERS)


async def test_what_was_counted_and_traced_is_exported_at_the_end(here: Installation) -> None:
    (port,) = free_ports(1)
    telemetry = 'log_level = "error"\nmetrics = "console"\nmetrics_interval_seconds = 3600\ntraces = "console"\n'
    settings = here.folder / "settings.toml"
    settings.write_text(settings.read_text() + f"\n[edge]\nport = {port}\n[telemetry]\n{telemetry}")
    process = await started("run", settings=settings)
    edge = f"http://127.0.0.1:{port}"
    assert await answered(f"{edge}/health/ready") == 200
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{edge}/webhooks/whatsapp_cloud/acme", data=b"{}") as answer,
    ):
        assert answer.status in {401, 404}
    code, err = await ended(process, signal.SIGTERM)
    assert code == 0, err
    for name in (b"custody.webhook.bodies", b"custody.delivery.last_progress_seconds", b'"worker": "archive"'):
        assert name in err
    assert b'"name": "webhook"' in err


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the server's own account may walk through, unlike pytest's when root runs the tests."""
    with tempfile.TemporaryDirectory(prefix="custody-test-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


async def test_one_machine_needs_no_server_but_custodys_own(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation = lay_out(open_folder, "postgresql://unused:unused@127.0.0.1:9/none")
    (port,) = free_ports(1)
    addresses = "\n".join(
        f'[{name}]\ndsn = "postgresql://{name}_user:pw-{name}@127.0.0.1:{port}/custody_{name}"'
        for name in ("log", "records", "blobs")
    )
    text = (
        f'profile = "demo"\nregistry = "custody.toml"\n[embedded]\ndirectory = "postgres"\nport = {port}\n{addresses}\n'
    )
    (open_folder / "settings.toml").write_text(text)
    use(installation, monkeypatch)
    first = await installation.custody("init", "--json")
    assert (first.code, first.document["changed"]) == (0, True), first.err
    report = await installation.custody("report", "--strict", "--json")
    assert (report.code, report.document["accepted"]) == (0, 0), report.err
    check = await installation.custody("check", "--offline", "--json")
    assert check.code == 0, check.out


async def test_a_server_that_somebody_else_started_is_taken_over_when_they_are_gone(open_folder: Path) -> None:
    (port,) = free_ports(1)
    settings = Settings(embedded=EmbeddedSettings(directory=open_folder / "postgres", port=port))
    starter = AsyncExitStack()
    await starter.enter_async_context(app.embedded(settings))
    async with app.embedded(settings, keep=True):
        await starter.aclose()
        assert not await is_open(port)
        async with asyncio.timeout(_SECONDS):
            while not await is_open(port):  # noqa: ASYNC110 - a server tells nobody that it is there
                await asyncio.sleep(0.05)
