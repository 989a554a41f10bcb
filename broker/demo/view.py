"""What a person sees of a demo: progress, then the account, the provider's word, and where to look further."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from broker.reporting import FIGURES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from broker.core.account import Account
    from broker.demo.stage import Glimpse, Outcome

_SECTION_ENDS = frozenset({"lost", "gaps", "parts_open"})
_BARS = (
    ("inbound", "WhatsApp messages sent"),
    ("accepted", "accepted by the edge"),
    ("kept", "records kept"),
    ("fetched", "photos and documents fetched"),
    ("erased", "erased at the provider"),
)


def as_json(outcome: Outcome) -> str:
    """The whole outcome as one JSON document; the account's fields on top, summed over the tenants."""
    document: dict[str, Any] = {
        **_plain(outcome.account),
        "unclaimed": outcome.unclaimed,
        "provider_still_holds": sum(outcome.verdict.still_holds.values()),
        "provider_still_holds_by_object": dict(outcome.verdict.still_holds),
        "residue_texts": outcome.verdict.residue_texts,
        "residue_texts_until": outcome.verdict.residue_until and outcome.verdict.residue_until.isoformat(),
        "closed": outcome.closed,
        "problems": list(outcome.problems),
        "tenants": {tenant: _plain(account) for tenant, account in outcome.accounts.items()},
        "provider": dict(outcome.provider),
        "seconds": round(outcome.seconds, 3),
        "peak_memory_bytes": dict(outcome.peak_memory_bytes),
    }
    return json.dumps(document, indent=2, sort_keys=True)


def _plain(account: Account) -> dict[str, Any]:
    return asdict(account)


@dataclass(frozen=True, slots=True)
class Live:
    """Progress while a demo runs: what it is doing, and how far it has come."""

    progress: Progress
    phase: TaskID
    bars: Mapping[str, TaskID]

    def say(self, phase: str) -> None:
        """What is being done now."""
        self.progress.update(self.phase, description=f"[bold]{phase}[/]")

    def show(self, glimpse: Glimpse) -> None:
        """How far things are."""
        for name, bar in self.bars.items():
            self.progress.update(bar, completed=getattr(glimpse, name), visible=True)


@contextmanager
def live(console: Console, *, messages: int) -> Iterator[Live]:
    """Shows progress until the block is left."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), _Count(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        phase = progress.add_task("", total=None)
        totals = {"inbound": messages or None}
        bars = {name: progress.add_task(words, total=totals.get(name), visible=False) for name, words in _BARS}
        yield Live(progress, phase, bars)


class _Count(ProgressColumn):
    """So many, and of how many where that is known."""

    def render(self, task: Task) -> Text:
        """The count of one bar; nothing for what is not counted."""
        done = f"{int(task.completed):,}" if task.completed else ""
        return Text(f"{done} / {int(task.total):,}" if task.total else done)


def print_outcome(console: Console, outcome: Outcome, *, settings: Path, example: str | None) -> None:
    """The account as a table, what the provider still holds, and three commands to look further."""
    console.print(_account_table(outcome))
    console.print(_holds(outcome))
    if outcome.unclaimed:
        console.print(f"Bodies for accounts that nobody registered: {outcome.unclaimed}, kept raw until someone does.")
    if outcome.closed:
        console.print(f"[bold green]The account closes[/], {outcome.seconds:.1f} s after the first message.")
    else:
        console.print("[bold red]The account does not close:[/]")
        for problem in outcome.problems:
            console.print(f"  {problem}", markup=False)
    _print_further(console, settings, example)


def _account_table(outcome: Outcome) -> Table:
    table = Table(title="The account", title_justify="left")
    table.add_column("")
    for tenant in outcome.accounts:
        table.add_column(tenant, justify="right")
    table.add_column("total", justify="right")
    table.add_column("what it means")
    columns = [*outcome.accounts.values(), outcome.account]
    for name, meaning in FIGURES:
        table.add_row(name, *(f"{getattr(one, name):,}" for one in columns), meaning, end_section=name in _SECTION_ENDS)
    return table


def _holds(outcome: Outcome) -> str:
    held = outcome.verdict.still_holds
    until = outcome.verdict.residue_until
    lines = [
        f"The provider still holds, by its own word: {held.get('message', 0)} texts and {held.get('media', 0)} media.",
        f"Custody's residue: {outcome.verdict.residue_texts} texts, which have no delete verb"
        + (f"; the last expires on {until:%Y-%m-%d}." if until else "."),
    ]
    return "\n".join(lines)


def _print_further(console: Console, settings: Path, example: str | None) -> None:
    shown = example or "RECORD"
    console.print("\nLook further (each starts the demo's servers by itself):")
    for command in ("report", f"show {shown}", "dead list"):
        console.print(f"  CUSTODY_SETTINGS={settings} .venv/bin/custody {command}", markup=False, soft_wrap=True)
