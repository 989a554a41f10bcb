"""What commands print: results on standard output, messages on standard error.

With `--json`, standard output is exactly one JSON document, or one a line where a command says so.
"""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN_WIDTH = 200
_LEVELS = {"ok": "green", "warning": "yellow", "problem": "red"}


def document(value: object) -> None:
    """One JSON document, indented for people."""
    print_bytes(msgspec.json.format(encoded(value), indent=2) + b"\n")


def json_line(value: object) -> None:
    """One JSON document in one line."""
    print_bytes(encoded(value) + b"\n")


def encoded(value: object) -> bytes:
    """A value as JSON. `msgspec.Raw` goes in as it is."""
    return msgspec.json.encode(value, enc_hook=str)


def print_bytes(data: bytes) -> None:
    """Bytes on standard output."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def line(text: str = "") -> None:
    """A line of a result, as it is."""
    console().print(Text(text), soft_wrap=True)


def message(text: str) -> None:
    """A line for the person at the terminal, on standard error."""
    Console(stderr=True).print(Text(text), soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; columns of numbers stand to the right. Ids are never cut: a narrow terminal folds them."""
    if not rows:
        line(f"{title or 'Found'}: none")
        return
    shown = Table(title=title or None, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        counts = bool(rows) and all(isinstance(row[number], int) for row in rows)
        shown.add_column(column, overflow="fold", justify="right" if counts else "left")
    for row in rows:
        shown.add_row(*(one if isinstance(one, Text) else Text(cell(one)) for one in row))
    console().print(shown)


def level(name: str) -> Text:
    """A finding's level in its colour."""
    return Text(name, style=_LEVELS.get(name, ""))


def cell(value: object) -> str:
    """A value as it stands in a table."""
    if value is None:
        return ""
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)


def console() -> Console:
    """Standard output; wide where it is no terminal, so that other programs get whole lines."""
    return Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH)


def plain(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any dataclass
    """A dataclass as a dict, not deeper: its values are encoded by msgspec."""
    if not is_dataclass(value):
        raise TypeError("not a dataclass")
    return {one.name: getattr(value, one.name) for one in fields(value) if not one.name.startswith("_")}
