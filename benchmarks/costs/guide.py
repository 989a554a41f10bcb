"""Keeps docs/capacity.md in step with the costs: what its commands print is put in anew.

A command in a block of `sh` alone, with a block of `text` after it, has its output there. A row of a table whose second
cell has options of `custody size` has what they come to in the cells after it.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broker.sizing.words import number
from broker.sizing.words import size as in_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Run = Callable[[Sequence[str]], str]
    """Runs `custody` with arguments; its standard output."""

GUIDE = Path(__file__).parents[2] / "docs" / "capacity.md"
_OUTPUT = re.compile(r"(?<=```sh\n)(custody [^\n]*)\n```\n\n```text\n.*?```", re.DOTALL)
_ROW = re.compile(r"^\| ([^|]*) \| `(--[^`|]*)` \|.*$", re.MULTILINE)


def renewed(text: str, run: Run) -> str:
    """The guide with the outputs that its commands have now."""
    text = _OUTPUT.sub(lambda found: f"{found[1]}\n```\n\n```text\n{_output(found[1], run)}```", text)
    return _ROW.sub(lambda found: f"| {found[1]} | `{found[2]}` | {' | '.join(_cells(found[2], run))} |", text)


def renew() -> None:
    """Writes the guide anew."""
    GUIDE.write_text(renewed(GUIDE.read_text(encoding="utf-8"), said), encoding="utf-8")


def said(arguments: Sequence[str]) -> str:
    """What the command says, in a process of its own, as a person would run it."""
    command = [sys.executable, "-m", "broker.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - the guide's own words


def _output(command: str, run: Run) -> str:
    return "".join(f"{line.rstrip()}\n" for line in run(shlex.split(command)[1:]).splitlines())


def _cells(options: str, run: Run) -> Sequence[str]:
    found: Mapping[str, Any] = json.loads(run(["size", *shlex.split(options), "--json"]))
    sizing = found["sizing"]
    workers = {one["name"]: f"{one['processes']:,}" for one in sizing["workers"]}
    server = found["next"]["server"]
    return [
        *(workers[name] for name in ("edge", "archive", "media", "erase")),
        str(sizing["partitions"]),
        number(sizing["cores"] / found["terms"]["utilisation"]),
        in_bytes(sizing["a_day"]["store"] + sizing["a_day"]["blobs"]),
        in_bytes(sizing["log_bytes"]),
        f"{server['name']}: {number(server['messages_per_second'])}",
    ]


if __name__ == "__main__":
    renew()
