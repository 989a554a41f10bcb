"""The commands that the guide shows for a log on Kafka: each is run here, word for word."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from broker.log.kafka.local.wire import known_brokers
from tests.kafka_servers import missing_for_local_kafka
from tests.servers import unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.kafka_servers import SharedKafka

ROOT = Path(__file__).parents[2]
_SECTION = re.compile(r"^## The log on Kafka\n(.*?)^## ", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_SECONDS = 300
_OF_THE_CALLER = ("CUSTODY_", "MAKE", "MFLAGS", "ARGS", "LOG", "STORE", "SEEDS")

KAFKA = 'make kafka ARGS="--port 0"'
DEMO = 'make -s demo LOG=kafka ARGS="--json"'
CHECK = "custody check --offline"


@pytest.fixture(autouse=True)
def local_kafka() -> None:
    if missing := missing_for_local_kafka():
        unavailable(missing)


def environment(**more: str) -> Mapping[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_CALLER)}
    return own | {"PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{own['PATH']}"} | more


def ran(command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S602 - the guide's own words, for a shell
        command,
        shell=True,
        cwd=ROOT,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def test_the_guide_shows_these_commands() -> None:
    found = _SECTION.search((ROOT / "docs" / "operating.md").read_text(encoding="utf-8"))
    assert found is not None
    assert [line for block in _BLOCK.findall(found[1]) for line in block.splitlines()] == [CHECK, KAFKA, DEMO]


def test_a_broker_is_started_and_ended_with_ctrl_c() -> None:
    running = subprocess.Popen(  # noqa: S602 - as above
        KAFKA,
        shell=True,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stdout is not None
    host, _, port = running.stdout.readline().strip().partition(":")
    assert asyncio.run(known_brokers(host, int(port))) == {1}
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    _, said = running.communicate(timeout=_SECONDS)
    assert "Traceback" not in said
    assert asyncio.run(known_brokers(host, int(port))) == frozenset()


def test_the_demo_on_kafka_closes() -> None:
    done = ran(DEMO)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["closed"] is True


def test_check_tells_what_is_wrong_with_the_settings_of_a_log_on_kafka(
    kafka_server: SharedKafka, tmp_path: Path
) -> None:
    settings = {
        "CUSTODY_REGISTRY": str(ROOT / "deploy" / "examples" / "custody.toml"),
        "CUSTODY_RECORDS__DSN": "postgresql://u:p@127.0.0.1:9/d",
        "CUSTODY_BLOBS__DSN": "postgresql://u:p@127.0.0.1:9/d",
        "CUSTODY_LOG__KIND": "kafka",
        "CUSTODY_LOG__BOOTSTRAP": ",".join(kafka_server.bootstrap),
        "CUSTODY_LOG__CA_FILE": str(tmp_path / "none.pem"),
    }
    wrong = ran(CHECK, **settings, COLUMNS="400")
    assert wrong.returncode == 2, wrong.stderr
    assert "CUSTODY_LOG__CA_FILE: is not used with plaintext" in wrong.stdout
    del settings["CUSTODY_LOG__CA_FILE"]
    right = ran(f"{CHECK} --json", **settings)
    levels = {(one["subject"], one["level"]) for one in json.loads(right.stdout)["findings"]}
    assert {("log", "ok"), ("records", "problem")} <= levels
