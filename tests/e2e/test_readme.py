"""The README's commands: each is run here, word for word, or is the very one that runs these tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.kafka_servers import missing_for_local_kafka
from tests.servers import unavailable

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_RUN_BY_CI = frozenset({"make test"})
_SECONDS = 300
_OF_THE_CALLER = ("CUSTODY_", "MAKE", "MFLAGS", "ARGS", "LOG", "STORE", "SEEDS")
"""Whoever runs these tests by `make test ARGS=..` must not thereby change what the README's own commands do."""


def commands() -> list[str]:
    """Every line of every shell block."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [line for block in _BLOCK.findall(text) for line in block.splitlines() if line.strip()]


def test_the_readme_shows_the_two_commands_first() -> None:
    assert commands()[:2] == ["make demo", "make test"]


def test_ci_runs_the_command_that_no_test_can_run() -> None:
    assert "make check" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^check:.*\btest\b", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", [one for one in commands() if one not in _RUN_BY_CI])
def test_a_command_of_the_readme_does_what_it_says(command: str) -> None:
    if "LOG=kafka" in command and (missing := missing_for_local_kafka()):
        unavailable(f"Kafka for the demo: {missing}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_CALLER)}
    done = subprocess.run(  # noqa: S602 - the README's own words, for a shell
        command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    if "--json" in command:
        assert json.loads(done.stdout)["closed"] is True
    elif "demo" in command:
        assert "The account closes" in done.stdout
    elif "parse" in command:
        records = [json.loads(line) for line in done.stdout.splitlines()]
        assert all(record["record_id"].startswith("rec_") for record in records)
        assert len(records) > 10
