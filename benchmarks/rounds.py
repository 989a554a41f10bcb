"""Rounds of runs: every side once in each, one after the other, after a round that does not count."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from rich.console import Console

    from benchmarks.figures import Sample

T = TypeVar("T")

Side: TypeAlias = "Callable[[], Awaitable[Sample]]"
Tell: TypeAlias = "Callable[[str, int, int], None]"
"""Is told what is under way: a title, how many steps are done, and of how many."""


async def interleaved(
    title: str, sides: Mapping[str, Callable[[], Awaitable[T]]], *, runs: int, tell: Tell
) -> dict[str, list[T]]:
    """What each side's runs gave, in the order of the rounds. The first round is for warming up, and left out."""
    samples: dict[str, list[T]] = {name: [] for name in sides}
    steps = (runs + 1) * len(sides)
    done = 0
    for number in range(-1, runs):
        for name, side in sides.items():
            tell(f"{title}: {name}", done, steps)
            sample = await side()
            done += 1
            if number >= 0:
                samples[name].append(sample)
    tell(title, steps, steps)
    return samples


@contextmanager
def shown(console: Console) -> Iterator[Tell]:
    """Shows what is under way until the block is left."""
    columns = (SpinnerColumn(), TextColumn("{task.description:<48}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        bar = progress.add_task("preparing", total=None)

        def tell(title: str, done: int, steps: int) -> None:
            progress.update(bar, description=title, completed=done, total=steps or None)

        yield tell


def silent(_title: str, _done: int, _steps: int) -> None:
    """Tells nobody."""
