"""The official AsyncAPI parser accepts the contract's document, and finds in it what subscribers look for."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from broker.contract import files
from tests.servers import unavailable

TOOL = Path(__file__).with_name("asyncapi")
INSTALLED = Path(__file__).parents[2] / ".cache" / "asyncapi"
ERROR = 0
SECONDS = 300


@pytest.fixture(scope="session")
def parser() -> Path:
    """The parser's script, with what package-lock.json pins beside it."""
    if not (shutil.which("node") and shutil.which("npm")):
        unavailable("node and npm, for the official AsyncAPI parser")
    lock = hashlib.sha256((TOOL / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = INSTALLED / lock
    shutil.copytree(TOOL, folder, dirs_exist_ok=True)
    if not (folder / "node_modules" / ".package-lock.json").exists():
        command = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            unavailable(f"npm packages of the official AsyncAPI parser:\n{done.stderr[-1000:]}")
    return folder / "validate.mjs"


def judged(parser: Path, document: Path) -> dict[str, Any]:
    """What the parser says of a document."""
    command = ("node", str(parser), str(document))
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("folder", [files.HOME, *sorted(files.RELEASED.iterdir())], ids=lambda one: one.name)
def test_the_official_parser_accepts_the_document(parser: Path, folder: Path) -> None:
    said = judged(parser, folder / files.DOCUMENT)
    assert said["accepted"], said["said"]
    assert [one for one in said["said"] if one["severity"] == ERROR] == []


def test_the_official_parser_finds_headers_values_and_keys(parser: Path) -> None:
    channels = judged(parser, files.HOME / files.DOCUMENT)["channels"]
    found = {one["id"]: one["messages"] for one in channels}
    assert found.keys() == files.generated().document["channels"].keys()
    for (message,) in found.values():
        assert "ce_id" in message["headers"]["properties"]
        assert message["key"]
    assert "envelope" in found["messages"][0]["payload"]["properties"]
    assert "record_digest" in found["kept"][0]["payload"]["properties"]


@pytest.mark.parametrize(
    ("what", "otherwise"),
    [("action: send", "action: shout"), ("./schemas/kept.json", "./schemas/nowhere.json"), ("type: string", "type: 7")],
)
def test_the_official_parser_refuses_what_is_wrong(parser: Path, tmp_path: Path, what: str, otherwise: str) -> None:
    files.write(files.generated(), tmp_path)
    document = tmp_path / files.DOCUMENT
    text = document.read_text()
    assert what in text
    document.write_text(text.replace(what, otherwise, 1))
    said = judged(parser, document)
    assert [one for one in said["said"] if one["severity"] == ERROR]
