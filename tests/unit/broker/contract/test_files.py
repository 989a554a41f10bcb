"""The contract as committed is what the code says, and `check` says so when it is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_args, get_type_hints

import pytest

from broker import __version__
from broker.contract import __main__ as command
from broker.contract import files
from broker.contract.shapes import schemas
from broker.contract.words import FIELDS, KNOWN
from broker.core.topics import Stream, topic_name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A contract of its own, written and released."""
    monkeypatch.setattr(files, "HOME", tmp_path)
    monkeypatch.setattr(files, "RELEASED", tmp_path / "released")
    assert command.main(["release"]) == 0
    assert command.main(["write"]) == 0
    return tmp_path


def test_the_committed_contract_is_what_the_code_says() -> None:
    assert command.main(["check"]) == 0


def test_the_same_code_writes_the_same_bytes() -> None:
    assert files.written(files.generated()) == files.written(files.generated())


def test_what_is_written_is_read_back(home: Path) -> None:
    assert files.read(home) == files.generated()
    assert files.read(home / "released" / __version__) == files.generated()


@pytest.mark.parametrize("name", ["asyncapi.yaml", "schemas/record.json", "schemas/content/item.json"])
def test_a_file_that_is_not_what_the_code_says_is_named(
    home: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / name).write_text((home / name).read_text() + " ")
    assert command.main(["check"]) == 1
    assert capsys.readouterr().err == f"broker/contract/{name}: is not what the code says: make contract\n"


def test_a_file_too_many_or_too_few_is_named_and_mended(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "schemas" / "record.json").unlink()
    (home / "schemas" / "old.json").write_text("{}")
    assert command.main(["check"]) == 1
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "broker/contract/schemas/old.json",
        "broker/contract/schemas/record.json",
    ]
    assert command.main(["write"]) == 0
    assert command.main(["check"]) == 0


def test_what_breaks_readers_of_the_last_release_fails(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "released" / __version__ / "schemas" / "kept.json"
    schema = json.loads(path.read_text())
    schema["properties"]["mood"] = {"type": "string"}
    path.write_text(json.dumps(schema))
    for action in ("write", "check"):
        assert command.main([action]) == 1
        assert capsys.readouterr().err == f"breaks readers of {__version__}: kept.json: mood: removed\n"


def test_a_release_that_breaks_readers_of_the_one_before_is_not_made(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "released" / __version__ / "schemas" / "kept.json"
    path.write_text(path.read_text().replace('"integer"', '"string"'))
    monkeypatch.setattr(command, "__version__", "99.0.0")
    assert command.main(["release"]) == 1
    assert not (home / "released" / "99.0.0").exists()


def test_the_last_release_is_the_one_with_the_highest_number(home: Path) -> None:
    for name in ("0.2.0", "0.10.0", "0.9.1"):
        (home / "released" / name).mkdir()
    found = files.last_release()
    assert found is not None
    assert found.name == "0.10.0"


def test_the_addresses_are_the_topics_of_the_code() -> None:
    channels = files.generated().document["channels"]
    found = {name: one["address"].replace("{tenant}", "acme") for name, one in channels.items()}
    bodies = found.pop(Stream.BODIES)
    assert bodies == "custody.unclaimed.bodies.v1"
    assert found == {name: topic_name("acme", Stream(name)) for name in found}


def test_every_field_with_words_and_values_is_there() -> None:
    for kind, words in FIELDS.items():
        assert words.keys() == get_type_hints(kind).keys()
    for kind, name in KNOWN:
        assert str in (hint := get_type_hints(kind)[name], *get_args(hint))


def test_no_schema_has_closed_values_or_fields() -> None:
    text = json.dumps(schemas())
    assert '"enum"' not in text
    assert '"additionalProperties": false' not in text
    assert text.count('"additionalProperties": true') == text.count('"type": "object"')
