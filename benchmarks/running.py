"""Steps one after the other: measured, written down, shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmarks import machine, report
from benchmarks.catalogue import BENCHMARKS, RESULTS
from benchmarks.progress import Progress
from benchmarks.rounds import shown
from benchmarks.stage import SERVER_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.catalogue import Wanted
    from benchmarks.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How to go through steps. With `progress`, what it says was measured before an interruption is not again."""

    machine: str
    results: Path
    progress: Progress | None = None
    console: Console | None = None

    async def through(self, stage: Stage, steps: Sequence[Wanted]) -> Sequence[dict[str, Any]]:
        """The document of each."""
        documents = [await self._document(stage, one) for one in steps]
        if self.progress is not None:
            self.progress.forget()
        return documents

    async def _document(self, stage: Stage, wanted: Wanted) -> dict[str, Any]:
        done = {} if self.progress is None else self.progress.done()
        if wanted.command in done:
            known: dict[str, Any] = done[wanted.command]
            return known
        benchmark = BENCHMARKS[wanted.what]
        with shown(Console(stderr=True)) as tell:
            result = await benchmark.measure(stage, wanted, tell)
        where = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": wanted.command,
            "machine": self.machine,
            "versions": {**machine.versions(), "postgres": await stage.version()},
            "server_settings": SERVER_SETTINGS,
        }
        document = report.document(result, where=where)
        report.write(self.results, document)
        if benchmark.ship is not None and self.results == RESULTS:
            benchmark.ship(document)
        if self.progress is not None:
            self.progress.add(wanted.command, document)
        if self.console is not None:
            report.show(self.console, result)
        return document
