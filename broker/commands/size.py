"""`custody size`: what an amount of traffic takes, before there is any. Asks no server."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from broker.commands import context, output
from broker.commands.context import UsageError
from broker.findings import line
from broker.sizing import words
from broker.sizing.costs import recorded
from broker.sizing.limits import Kind, Limit, ProviderLimits, limits, nearest
from broker.sizing.model import Load, Sizing, Terms, sized
from connectors.whatsapp_cloud import rates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.sizing.costs import Costs

_RUNS = "How it is to run"
_KILOBYTE, _GIGABYTE = 1000, 10**9


def _option(panel: str, name: str, least: float, most: float, says: str) -> Any:  # noqa: ANN401 - as typer has it
    return typer.Option(name, min=least, max=most, metavar="N", rich_help_panel=panel, help=says)


_comes, _runs = partial(_option, "What comes"), partial(_option, _RUNS)


Numbers = Annotated[int, _comes("--numbers", 1, 1_000_000, "Business numbers, all together.")]
Rate = Annotated[
    float,
    _comes(
        "--messages-per-second",
        0.001,
        10**9,
        "Messages a second at the busiest, in and out, of all numbers together: not of each.",
    ),
]
Statuses = Annotated[float, _comes("--statuses", 0, 100, "Statuses for each message: sent, delivered, read.")]
Media = Annotated[float, _comes("--media", 0, 1, "Share of messages with a photo or document, 0 to 1.")]
MediaSize = Annotated[float, _comes("--media-kilobytes", 0, 102_400, "Size of a photo or document, on average.")]
Identities = Annotated[float, _comes("--identities", 0, 1, "Share of messages from somebody new.")]
Items = Annotated[float, _comes("--items", 1, 1000, "Messages and statuses in one webhook, on average.")]
Hours = Annotated[float, _comes("--hours", 0.1, 24, "How many hours a day this rate lasts.")]
Wabas = Annotated[int, _comes("--wabas", 1, 1_000_000, "WhatsApp Business Accounts that have the numbers.")]
Days = Annotated[float, _runs("--days", 1, 36_500, "How many days' records and photos there are to be room for.")]
Retention = Annotated[float, _runs("--retention-days", 1, 3650, "How long the log is: CUSTODY_RETENTION_DAYS.")]
OnLog = Annotated[Literal["postgres", "kafka"], typer.Option("--log", rich_help_panel=_RUNS, help="Where the log is.")]
Replication = Annotated[int, _runs("--replication", 1, 99, "Copies that Kafka has of each entry.")]
Utilisation = Annotated[
    float,
    _runs(
        "--utilisation",
        0.01,
        1,
        "Share of what each thing can take to plan with; the rest is for peaks, catching up and growth.",
    ),
]
Cores = Annotated[int, _runs("--server-cores", 1, 1024, "CPU cores of each Postgres.")]
OneServer = Annotated[
    bool, typer.Option("--one-server", rich_help_panel=_RUNS, help="Log, records and blobs are on one Postgres.")
]
CallSeconds = Annotated[float, _runs("--provider-seconds", 0.001, 60, "How long a call to the provider takes.")]
Disk = Annotated[float | None, _runs("--log-disk-gigabytes", 1, 10**9, "The log's disk: it is a limit then.")]


def size(  # noqa: PLR0913, PLR0917 - a command's options
    numbers: Numbers,
    messages_per_second: Rate,
    statuses: Statuses = 3,
    media: Media = 0.2,
    media_kilobytes: MediaSize = 150,
    identities: Identities = 0.1,
    items: Items = 1,
    hours: Hours = 24,
    wabas: Wabas = 1,
    days: Days = 30,
    retention_days: Retention = 14,
    log: OnLog = "postgres",
    replication: Replication = 3,
    utilisation: Utilisation = 0.5,
    server_cores: Cores = 8,
    one_server: OneServer = False,  # noqa: FBT002 - a flag of the command line
    provider_seconds: CallSeconds = 0.3,
    log_disk_gigabytes: Disk = None,
    as_json: context.Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Show what an amount of traffic takes: processes, partitions, bytes, requests, and where the next limit lies.

    Asks no server. It reckons with costs that a benchmark measured on one machine: the last lines say which. To
    measure yours: make bench ARGS="costs". docs/capacity.md goes from one machine to hundreds of numbers.

    Example: custody size --numbers 200 --messages-per-second 80 --statuses 3 --media 0.2 --days 30

    Example: custody size --numbers 1 --messages-per-second 1000 --log kafka --json
    """
    load = Load(
        numbers=numbers,
        messages_per_second=messages_per_second,
        statuses=statuses,
        media=media,
        media_bytes=media_kilobytes * _KILOBYTE,
        identities=identities,
        items_a_request=items,
        hours_a_day=hours,
    )
    terms = Terms(
        days=days,
        retention_days=retention_days,
        log=log,
        replication=replication,
        utilisation=utilisation,
        server_cores=server_cores,
        one_server=one_server,
        provider_seconds=provider_seconds,
        log_disk_bytes=None if log_disk_gigabytes is None else log_disk_gigabytes * _GIGABYTE,
    )
    _refuse_what_no_numbers_carry(load)
    costs = recorded()
    sizing = sized(load, costs, terms)
    found = limits(load, sizing, terms, _provider(wabas))
    if as_json:
        output.document(_as_document(load, terms, sizing, found, costs))
    else:
        _show(load, terms, sizing, found, costs)


def _refuse_what_no_numbers_carry(load: Load) -> None:
    needed = math.ceil(load.messages_per_second / rates.RAISED_MESSAGES_PER_SECOND)
    if needed > load.numbers:
        fault = (
            f"WhatsApp lets a number send and receive {rates.RAISED_MESSAGES_PER_SECOND:,} messages a second at most, "
            f"so that this takes {needed:,} numbers, not {load.numbers:,}"
        )
        raise UsageError(line("--messages-per-second", fault, f"--numbers {needed}"))


def _provider(wabas: int) -> ProviderLimits:
    return ProviderLimits(
        number_messages_per_second=rates.NUMBER_MESSAGES_PER_SECOND,
        raised_messages_per_second=rates.RAISED_MESSAGES_PER_SECOND,
        calls_per_hour=rates.WABA_CALLS_PER_HOUR,
        groups=wabas,
    )


def _as_document(load: Load, terms: Terms, sizing: Sizing, found: Sequence[Limit], costs: Costs) -> dict[str, Any]:
    return {
        "load": load,
        "terms": terms,
        "sizing": {**output.plain(sizing), "processes": sizing.processes, "cores": sizing.cores},
        "limits": found,
        "next": {str(kind): nearest(found, kind) for kind in Kind},
        "assumptions": words.assumptions(load, terms, sizing, costs),
        "costs": costs,
    }


def _show(load: Load, terms: Terms, sizing: Sizing, found: Sequence[Limit], costs: Costs) -> None:
    output.line(words.traffic(load))
    output.table("Processes", ("process", "run", "busy", "CPU cores"), words.processes(sizing))
    output.table("Servers", ("what", "it takes"), words.servers(sizing, terms))
    output.table("Bytes", ("what", "a day", "in all", "that is"), words.bytes_written(sizing, terms))
    output.table("Limits", ("what is used up first", "at messages/s", "before that"), words.limits(load, found))
    for one in words.next_limits(load, found):
        output.line(one)
    for one in words.assumptions(load, terms, sizing, costs):
        output.line(f"Assumed: {one}")
    for one in words.provenance(costs):
        output.line(one)
