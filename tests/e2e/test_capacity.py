"""docs/capacity.md: its commands run, and what it says they print is what they print."""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import TYPE_CHECKING

from benchmarks.costs.guide import GUIDE, renewed
from tests.e2e.installation import said

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_MEASURES = 'make bench ARGS="costs"'
"""Takes minutes, and another test runs it in miniature."""
_OPTIONS = re.compile(r"`(--numbers[^`]*)`")


@cache
def _ran(arguments: tuple[str, ...]) -> str:
    told = said(*arguments)
    assert (told.code, told.err) == (0, ""), arguments
    return told.out


def run(arguments: Sequence[str]) -> str:
    return _ran(tuple(arguments))


def text() -> str:
    return GUIDE.read_text(encoding="utf-8")


def test_each_command_of_the_guide_runs() -> None:
    commands = [line for block in _BLOCK.findall(text()) for line in block.splitlines()]

    assert commands.count(_MEASURES) == 1
    others = [shlex.split(one) for one in commands if one != _MEASURES]
    assert others
    for program, *arguments in others:
        assert program == "custody"
        assert run(arguments)


def test_outputs_and_table_are_what_the_commands_say_now() -> None:
    # Another figure in costs.json, or another word of the command's: python -m benchmarks.costs.guide writes it anew.
    assert renewed(text(), run) == text()


def test_an_output_that_is_not_the_command_s_would_be_noticed() -> None:
    changed = text().replace("custody run edge ", "custody run edgy ", 1)

    assert changed != text()
    assert renewed(changed, run) == text()


def test_a_row_that_is_not_what_its_options_come_to_would_be_noticed() -> None:
    options = _OPTIONS.findall(text())
    assert len(options) > 3
    row = next(line for line in text().splitlines() if f"`{options[-1]}`" in line)

    assert renewed(text().replace(row, f"{row.rsplit('|', 2)[0]}| something else |"), run) == text()
