"""A command of `custody`, alone in its process, and what it took."""

from __future__ import annotations

import asyncio
import io
import os
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.machine import Meter, Spent
from broker import cli

if TYPE_CHECKING:
    from benchmarks.child import Orders


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOrders:
    """Run this with the settings of a file."""

    settings: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutcome:
    """Its exit code, its standard output, and what it took: of memory the most that the process had from its start."""

    code: int
    output: str
    spent: Spent


async def main(orders: Orders) -> None:
    """Answers with a `CommandOutcome`."""
    wanted = await orders.next(CommandOrders)
    os.environ["CUSTODY_SETTINGS"] = wanted.settings
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)) as said:
        meter = Meter()
        code = await asyncio.to_thread(cli.main, wanted.arguments)
        spent = meter.spent()
        said.seek(0)
        output = said.read()
    orders.answer(CommandOutcome(code=code, output=output, spent=spent))
