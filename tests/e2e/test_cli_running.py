"""The commands that go on until they are told to stop, as programs of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.e2e.installation import Installation, lay_out, said, use

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_SECONDS = 60.0


async def started(*arguments: str, settings: Path | None = None) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "broker.cli",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment | ({"CUSTODY_SETTINGS": str(settings)} if settings else {}),
    )


async def ended(process: asyncio.subprocess.Process, number: signal.Signals) -> tuple[int | None, bytes]:
    process.send_signal(number)
    _, err = await asyncio.wait_for(process.communicate(), _SECONDS)
    return process.returncode, err


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def answered(url: str) -> int:
    """The status of the first answer there is."""
    async with asyncio.timeout(_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    return answer.status
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


@pytest.fixture
async def here(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Installation]:
    installation = lay_out(tmp_path, database)
    use(installation, monkeypatch)
    assert (await installation.custody("init", "--logins")).code == 0
    yield installation


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_simulate_says_where_it_answers_and_stops_on_a_signal(number: signal.Signals) -> None:
    process = await started("simulate", "--json")
    assert process.stdout is not None
    told = json.loads(await asyncio.wait_for(process.stdout.readline(), _SECONDS))
    assert await answered(f"{told['control_url']}/idle") == 401
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {told['control_token']}"}) as session:
        async with session.get(f"{told['control_url']}/idle") as answer:
            assert answer.status == 200
    code, err = await ended(process, number)
    assert (code, err) == (0, b"")


def test_simulate_refuses_settings_that_do_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "simulator.toml"
    file.write_text("apps = 3\nwabas = []\nnumbers = []\n")
    told = said("simulate", "--config", str(file))
    assert (told.code, len(told.err.splitlines())) == (2, 1)
    assert "--config: " in told.err


async def test_run_serves_until_sigterm_and_leaves_nothing_unsaid(here: Installation) -> None:
    port = free_port()
    settings = here.folder / "settings.toml"
    settings.write_text(settings.read_text() + f"\n[edge]\nport = {port}\n[telemetry]\nlog_format = \"json\"\n")
    process = await started("run", settings=settings)
    assert await answered(f"http://127.0.0.1:{port}/health/ready") == 200
    code, err = await ended(process, signal.SIGTERM)
    assert code == 0, err
    events = [json.loads(line) for line in err.splitlines()]
    stopped = {one["worker"] for one in events if one.get("action") == "run.stopped"}
    assert stopped == {"edge", "archive", "media", "relay", "erase", "claim"}


async def test_one_machine_needs_no_server_but_custodys_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation = lay_out(tmp_path, "postgresql://unused:unused@127.0.0.1:9/none")
    port = free_port()
    addresses = "\n".join(
        f'[{name}]\ndsn = "postgresql://{name}_user:pw-{name}@127.0.0.1:{port}/custody_{name}"'
        for name in ("log", "records", "blobs")
    )
    text = f'profile = "demo"\nregistry = "custody.toml"\n[embedded]\ndirectory = "postgres"\nport = {port}\n{addresses}\n'
    (tmp_path / "settings.toml").write_text(text)
    tmp_path.chmod(0o755)
    use(installation, monkeypatch)
    first = await installation.custody("init", "--json")
    assert (first.code, first.document["changed"]) == (0, True), first.err
    report = await installation.custody("report", "--strict", "--json")
    assert (report.code, report.document["accepted"]) == (0, 0), report.err
    check = await installation.custody("check", "--offline", "--json")
    assert check.code == 0, check.out
