"""`custody run`, `custody simulate` and `custody demo`: what goes on until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
import uvloop

from broker import app, sources
from broker.commands import context, output
from broker.commands.context import FailedError, UsageError
from broker.core.errors import SettingsError
from broker.findings import closest, line, meant
from broker.servers import refuse_in_production
from broker.store_settings import STORES
from broker.telemetry import configure_logging

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from broker.settings import Settings

N = TypeVar("N", bound=str)

_NEEDS = {
    "edge": ("log",),
    "archive": ("log", "records"),
    "media": ("log", "blobs"),
    "relay": ("log", "records"),
    "erase": ("log",),
    "claim": ("log",),
    "tidy": ("log",),
}

Workers = Annotated[
    list[str] | None,
    typer.Argument(metavar="[WORKER...]", help="edge, archive, media, relay, erase, claim, tidy; or all."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The simulated provider, in TOML; else a sample."),
]
CallbackUrl = Annotated[
    str | None, typer.Option("--callback", metavar="URL", help="Without --config: where webhooks go.")
]
Messages = Annotated[
    int, typer.Option("--messages", min=0, metavar="N", help="Send N inbound messages; the story once if not given.")
]
Seed = Annotated[int, typer.Option("--seed", help="Another seed tells the story otherwise; the same one, the same.")]
At = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="TIME", help="Begin the story then: with the same --seed, every digest is the same again."
    ),
]
Keep = Annotated[Path | None, typer.Option("--keep", metavar="DIR", help="Where its data are to lie and to stay.")]
LogName = Annotated[str, typer.Option("--log", metavar="NAME", help="The event log: postgres, or kafka.")]
StoreName = Annotated[
    str,
    typer.Option("--store", metavar="NAME", help="Where records and blobs rest: postgres, s3_mongo, or s3_postgres."),
]


def run(workers: Workers = None) -> None:
    """Run the workers, each alone or all in one process, until SIGTERM or SIGINT.

    Then the edge drains, and every worker finishes and commits the batch in hand.

    Example: custody run

    Example: custody run archive
    """
    from broker.run import WORKERS, run_workers  # noqa: PLC0415 - the workers and all they import are for this alone

    names = tuple(dict.fromkeys(workers or WORKERS))
    for name in names:
        if name not in WORKERS:
            raise UsageError(line("WORKER", f"no such worker{meant(closest(name, WORKERS))}", ", ".join(WORKERS)))
    needs = {need for name in names for need in _NEEDS.get(name, ())}
    settings = sources.load(needs={*needs, "registry"})
    configure_logging(settings.telemetry, profile=settings.profile)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_around(settings, run_workers(settings, names)))


async def _around(settings: Settings, work: Coroutine[Any, Any, None]) -> None:
    """The work, with Custody's own server around it where the settings want one."""
    async with app.embedded(settings, keep=True):
        await work


def simulate(
    config: ConfigFile = None,
    callback: CallbackUrl = None,
    seed: Seed = 1,
    as_json: context.Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Simulate the provider: a server that speaks its protocol, and knows what it sent and still holds.

    Prints where it answers, and goes on until SIGTERM or SIGINT. Does not start under production.

    Example: custody simulate --config simulator.toml

    Example: custody simulate --callback http://127.0.0.1:8400/webhooks/whatsapp_cloud/acme-app
    """
    settings = context.load()
    refuse_in_production(settings, "the simulator")
    context.run(_simulated(config, callback, seed, as_json=as_json))


async def _simulated(config: Path | None, callback: str | None, seed: int, *, as_json: bool) -> None:
    from connectors.simulator.config import SimulatorConfig  # noqa: PLC0415 - the simulator is for this alone
    from connectors.simulator.errors import ConfigError, RefusedInProductionError  # noqa: PLC0415 - likewise
    from connectors.simulator.sample import sample  # noqa: PLC0415 - likewise
    from connectors.simulator.simulator import Simulator  # noqa: PLC0415 - likewise

    stop = asyncio.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(one, stop.set)
    try:
        made = SimulatorConfig.from_toml(config) if config else sample(seed=seed, callback_url=callback)
        async with Simulator(made) as provider:
            shown = {
                "graph_url": f"{provider.base_url}/v25.0",
                "control_url": f"{provider.base_url}/simulator",
                "numbers": [one.phone_number_id for one in made.numbers],
            }
            if made.control_token is None:
                shown["control_token"] = provider.control_token
            _print_simulator(shown, as_json=as_json)
            await stop.wait()
    except OSError as error:
        fault = f"can't be used: {(error.strerror or 'an input error').lower()}"
        raise UsageError(line("--config", fault, "--config simulator.toml")) from None
    except (ConfigError, RefusedInProductionError) as error:
        raise SettingsError([f"--config: {error}"]) from None


def _print_simulator(shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.json_line(shown)
        return
    for name, value in shown.items():
        output.line(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


def demo(  # noqa: PLR0913, PLR0917 - options of the command line
    messages: Messages = 0,
    seed: Seed = 1,
    at: At = None,
    keep: Keep = None,
    log: LogName = "postgres",
    store: StoreName = "postgres",
    as_json: context.Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Watch it all on this machine: real servers, a simulated provider, the workers, and an account that closes.

    With --log kafka the log is a Kafka of its own, for which it needs Java 17 and, the first time, Maven.

    With --store s3_mongo records rest on a MongoDB of its own and blobs on an S3 server; else on PostgreSQL.

    Exits with 1 if the account does not close.

    Example: custody demo

    Example: custody demo --messages 10000 --json

    Example: custody demo --seed 7 --at 2026-11-23T08:00:00+02:00

    Example: custody demo --log kafka

    Example: custody demo --store s3_mongo
    """
    from broker.demo import LOGS, DemoOptions, run_demo  # noqa: PLC0415 - the demo is for this alone

    settings = context.load()
    refuse_in_production(settings, "the demo")
    options = DemoOptions(
        messages=messages,
        seed=seed,
        at=_time(at),
        keep=keep,
        log=_implementation("--log", log, LOGS, "--log kafka"),
        store=_implementation("--store", store, STORES, "--store s3_mongo"),
    )
    if not run_demo(options, as_json=as_json):
        raise FailedError(1)


def _implementation(option: str, name: str, known: Sequence[N], example: str) -> N:
    """One of those there are. `UsageError` where it is none."""
    found = next((one for one in known if one == name), None)
    if found is None:
        raise UsageError(line(option, f"no such implementation{meant(closest(name, known))}", example))
    return found


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    with suppress(ValueError):
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at
    raise UsageError(line("--at", "is not a time with its zone", "--at 2026-11-23T08:00:00+02:00"))
