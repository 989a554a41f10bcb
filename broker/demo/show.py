"""A demo from beginning to end, for a person or a machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rich.console import Console

from broker.demo import view
from broker.demo.stage import Demo

if TYPE_CHECKING:
    from broker.demo.stage import DemoOptions, Outcome


def run_demo(options: DemoOptions, *, as_json: bool) -> bool:
    """Runs a demo and prints its outcome; whether the account closed."""
    return asyncio.run(_run(options, as_json=as_json)).closed


async def _run(options: DemoOptions, *, as_json: bool) -> Outcome:
    progress = Console(stderr=True)
    with view.live(progress, messages=options.messages) as now:
        async with Demo(options=options, show=now.show, say=now.say) as demo:
            await demo.play()
            outcome = await demo.outcome()
            example = await demo.example()
    if as_json:
        print(view.as_json(outcome))  # noqa: T201 - the command's output
    else:
        view.print_outcome(Console(), outcome, settings=demo.home.settings_file, example=example)
    return outcome
