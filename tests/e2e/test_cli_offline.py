"""The command without a server: help, parse, and wrong command lines. There is never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from broker import cli
from tests.e2e.installation import said
from tests.unit.broker.registry_files import GOOD, write

COMMANDS = [
    *("demo", "init", "check", "run", "simulate", "report", "lag", "show", "parse", "replay", "parity", "copy"),
    "size",
    *("dead list", "dead show", "dead redrive", "blocked list", "blocked release", "blocked accept"),
    *("part list", "part refetch", "gap list", "gap accept", "log show", "log adopt"),
    *("topics plan", "topics apply", "topics acls"),
    *("tenant list", "tenant check", "tenant apply", "account list", "account check", "account apply"),
]
ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "connectors" / "whatsapp_cloud" / "samples"
BODY = {
    "object": "whatsapp_business_account",
    "entry": [
        {
            "id": "102290129340398",
            "changes": [
                {
                    "field": "messages",
                    "value": {
                        "messaging_product": "whatsapp",
                        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
                        "messages": [
                            {
                                "from": "16505551234",
                                "id": "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=",
                                "timestamp": "1749416383",
                                "type": "text",
                                "text": {"body": "Does it come in another colour?"},
                            }
                        ],
                    },
                }
            ],
        }
    ],
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in os.environ if one.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example(command: str) -> None:
    told = said(*command.split(), "--help")
    assert told.code == 0
    assert f"Example: custody {command}" in told.out or f"custody {command}" in told.out.split("Example:", 1)[1]


def test_no_command_is_missing_here() -> None:
    names = [one.name or one.callback.__name__ for one in cli.app.registered_commands if one.callback]
    for group in cli.app.registered_groups:
        if group.typer_instance is not None:
            names += [f"{group.name} {one.name}" for one in group.typer_instance.registered_commands]
    assert sorted(names) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_guide_names_every_command(command: str) -> None:
    guide = (ROOT / "docs" / "cli.md").read_text()
    first, _, second = command.partition(" ")
    row = next((line for line in guide.splitlines() if line.startswith(f"| `custody {first}")), "")
    assert f"`{second}`" in row or second in row.split("|")[1]


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("document", "count"),
    [
        (BODY, 1),
        ([BODY, BODY], 2),
        ({"webhooks": [BODY]}, 1),
        ({"webhooks": {"a": BODY, "b": BODY, "c": BODY}, "source": "x"}, 3),
    ],
)
def test_parse_takes_a_body_a_list_and_an_object_that_holds_them(tmp_path: Path, document: object, count: int) -> None:
    file = tmp_path / "bodies.json"
    file.write_text(json.dumps(document))
    told = said("parse", "whatsapp_cloud", str(file))
    assert told.code == 0, told.err
    records = [one for one in lines(told.out) if one["kind"] != "identity"]
    assert len(records) == count
    assert {"record_id", "kind", "type", "direction", "parts", "relations"} <= records[0].keys()
    assert (records[0]["kind"], records[0]["type"], records[0]["direction"]) == ("message", "text", "in")


def test_parse_reads_standard_input_and_shows_no_content() -> None:
    told = said("parse", "whatsapp_cloud", "-", stdin=json.dumps(BODY).encode())
    assert told.code == 0
    for content in ("16505551234", "wamid", "colour"):
        assert content not in told.out


def test_parse_makes_a_new_key_each_time_and_the_tenants_own_where_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUSTODY_REGISTRY", str(write(tmp_path, GOOD)))
    data = json.dumps(BODY).encode()
    throwaway = {said("parse", "whatsapp_cloud", "-", stdin=data).out for _ in range(2)}
    ids = [
        lines(said("parse", "whatsapp_cloud", "-", "--tenant", "acme", stdin=data).out)[0]["record_id"]
        for _ in range(2)
    ]
    assert len(throwaway) == 2
    assert ids[0] == ids[1]


def test_parse_gives_a_record_for_every_sample() -> None:
    files = sorted(SAMPLES.rglob("*.json"))
    if not files:
        pytest.skip("no samples yet")
    for file in files:
        told = said("parse", "whatsapp_cloud", str(file))
        assert told.code == 0, (file.name, told.err)
        assert lines(told.out), file.name


@pytest.mark.parametrize("data", [b"", b"not json", b"\xff\xfe", b"[1, 2]", b'{"webhooks": 3}', b"null", b"[" * 200])
def test_parse_takes_anything(data: bytes) -> None:
    told = said("parse", "whatsapp_cloud", "-", stdin=data)
    assert told.code == 0, told.err
    lines(told.out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("parse", "whatsap", "x.json"), "CONNECTOR: no such connector, did you mean whatsapp_cloud?"),
        (("parse", "whatsapp_cloud", "/nowhere.json"), "FILE: /nowhere.json: can't be read: no such file"),
        (("show", "rec_abc", "--content"), "--reason: reading content leaves an act"),
        (("show", "+27 82 123 4567"), "RECORD|CONVERSATION: is not an id of Custody's"),
        (("report", "--day", "yesterday"), "--day: is not a day; for example --day 2026-11-23"),
        (("report",), "CUSTODY_LOG__DSN: is missing"),
        (("dead", "redrive"), "DEAD: name dead letters, or give --all, and not both"),
        (("dead", "show", "acme", "--content", "--reason", "x"), "DEAD: is not topic/partition/offset"),
        (("blocked", "release"), "TARGET: name targets, or give --all"),
        (("tenant", "apply", "--reader-password-file", "x"), "--reader-password-file: goes with one tenant"),
        (("run", "archiv"), "WORKER: no such worker, did you mean archive?"),
        (("demo", "--store", "s3"), "--store: no such implementation"),
        (("demo", "--messages", "many"), "'--messages': Input should be a valid integer"),
        (("size",), "Missing option '--numbers'"),
        (
            ("size", "--numbers", "0", "--messages-per-second", "1"),
            "'--numbers': Input should be greater than or equal to 1",
        ),
        (
            ("size", "--numbers", "1", "--messages-per-second", "80", "--media", "20"),
            "'--media': Input should be less than or equal to 1;",
        ),
        (("size", "--numbers", "1", "--messages-per-second", "1", "--media", "nan"), "'--media': Input should be"),
        (("size", "--numbers", "1", "--messages-per-second", "inf"), "'--messages-per-second': Input should be less"),
        (
            ("size", "--numbers", "3", "--messages-per-second", "3500"),
            "1,000 messages a second at most, so that this takes 4 numbers, not 3; for example --numbers 4",
        ),
        (("reprot",), "Did you mean 'report'"),
        (("report", "--jsn"), "No such option: --jsn"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_and_says_what_to_write(arguments: tuple[str, ...], words: str) -> None:
    told = said(*arguments)
    assert (told.code, told.out) == (2, "")
    assert words in told.err


def test_production_starts_no_simulator_and_no_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_PROFILE", "production")
    for command in ("simulate", "demo"):
        told = said(command)
        assert (told.code, told.out) == (2, "")
        assert "does not start under production" in told.err


def test_check_tells_of_wrong_settings_in_its_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_EDGE__PORT", "http")
    told = said("check", "--json")
    assert told.code == 2
    messages = [one["message"] for one in told.document["findings"]]
    assert messages[0] == "CUSTODY_EDGE__PORT: is not a whole number; for example CUSTODY_EDGE__PORT=8400"
    assert told.document["problems"] == len(messages) == 5


ODD = ("", "\0", "é", "-", "--", "-x", "[/]", "[bold", "[red]x[/red]", "rec_\n", "1" * 40)
OPTIONS = ("--json", "--tenant", "--content", "--all", "--help", "--day")
LASTING = {"demo", "simulate", "run"}


@given(
    command=st.sampled_from([one for one in COMMANDS if one not in LASTING]),
    words=st.lists(st.sampled_from(ODD + OPTIONS), max_size=4),
)
@examples(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_command_line_ends_in_a_traceback(command: str, words: list[str]) -> None:
    told = said(*command.split(), *words)
    assert told.code in {0, 1, 2}
    assert "Traceback" not in told.err
    assert "this is a defect" not in told.err, told.err


def test_the_command_runs_as_a_program() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "broker.cli", "parse", "whatsapp_cloud", "-"],
        input=json.dumps(BODY).encode(),
        capture_output=True,
        check=True,
    )
    assert run.stderr == b""
    assert json.loads(run.stdout.splitlines()[0])["schema"] == "custody/record/v1"
