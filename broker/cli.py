"""The command `custody`: its sub-commands, and what becomes of their errors.

No traceback is ever shown: an error is a line on standard error, one for each finding, and an exit code (docs/cli.md).
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from broker import __version__
from broker.commands import (
    blocked,
    copy,
    dead,
    gap,
    lag,
    log,
    parity,
    parsing,
    parts,
    registered,
    replay,
    report,
    running,
    servers,
    show,
    size,
    topics,
)
from broker.commands.context import FailedError, UsageError
from broker.commands.output import message
from broker.commands.stoppable import StoppedError
from broker.core.errors import (
    BlobsUnavailableError,
    CustodyError,
    LogUnavailableError,
    ProviderRefusedError,
    ProviderThrottledError,
    ProviderUnavailableError,
    SettingsError,
    StoreUnavailableError,
)
from broker.discretion import LOGS
from broker.telemetry import frames

if TYPE_CHECKING:
    from collections.abc import Sequence

OK = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
PROBLEMS = servers.PROBLEMS
INTERRUPTED = 128 + signal.SIGINT

_UNREACHABLE = (
    LogUnavailableError,
    StoreUnavailableError,
    BlobsUnavailableError,
    ProviderUnavailableError,
    ProviderThrottledError,
    ProviderRefusedError,
)

app = typer.Typer(
    name="custody",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Brings WhatsApp Business conversations home: kept in your own store first, erased at the provider after.",
    epilog="Try it on this machine: custody demo",
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - the shape of a callback
    if wanted:
        typer.echo(f"custody {__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", callback=_show_version, is_eager=True, metavar=" ", help="Print the version, and nothing else."
    ),
]


@app.callback()
def custody(version: Version = False) -> None:  # noqa: FBT002 - its callback does the work
    """Takes the options that come before a command."""


app.command(rich_help_panel="Begin")(running.demo)
app.command(rich_help_panel="Begin")(servers.init)
app.command(rich_help_panel="Begin")(servers.check)
app.command(rich_help_panel="Run")(running.run)
app.command(rich_help_panel="Run")(running.simulate)
app.command(rich_help_panel="Look")(report.report)
app.command(rich_help_panel="Look")(lag.lag)
app.command(rich_help_panel="Look")(parity.parity)
app.command(rich_help_panel="Look")(show.show)
app.command(rich_help_panel="Look")(parsing.parse)
app.command(rich_help_panel="Look")(size.size)
app.add_typer(dead.commands, name="dead", rich_help_panel="Mend")
app.command(rich_help_panel="Mend")(replay.replay)
app.add_typer(topics.commands, name="topics", rich_help_panel="Register")
app.add_typer(gap.commands, name="gap", rich_help_panel="Mend")
app.add_typer(log.commands, name="log", rich_help_panel="Mend")
app.command(rich_help_panel="Mend")(copy.copy)
app.add_typer(blocked.commands, name="blocked", rich_help_panel="Mend")
app.add_typer(parts.commands, name="part", rich_help_panel="Mend")
app.add_typer(registered.tenants, name="tenant", rich_help_panel="Register")
app.add_typer(registered.accounts, name="account", rich_help_panel="Register")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; its exit code."""
    try:
        code = app(args=None if arguments is None else list(arguments), prog_name="custody", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except typer.Exit as left:
        return left.exit_code
    except Exception as error:  # noqa: BLE001 - the last stop: a line and a code, whatever it was
        return told(error)
    return code if isinstance(code, int) else OK


def told(error: Exception) -> int:
    """Says what went wrong, without a value that could be content; the exit code."""
    if isinstance(error, FailedError):
        return error.exit_code
    if isinstance(error, TyperException):
        return _told_usage(error)
    if isinstance(error, SettingsError | UsageError):
        for finding in getattr(error, "findings", [str(error)]):
            message(finding)
        return USAGE
    if isinstance(error, CustodyError):
        message(f"custody: {LOGS.text(str(error))}")
        return _code_of(error)
    where = (frames(error) or ["an unknown place"])[-1]
    message(f"custody: unexpected {type(error).__name__} at {where}; this is a defect, please report it")
    return FAILED


def _code_of(error: CustodyError) -> int:
    if isinstance(error, StoppedError):
        return error.exit_code
    return UNREACHABLE if isinstance(error, _UNREACHABLE) else FAILED


def _told_usage(error: TyperException) -> int:
    """A wrong command line. A group without a command has shown its help already."""
    context = getattr(error, "ctx", None)
    path = "custody" if context is None else context.command_path
    if type(error).__name__ != "NoArgsIsHelpError":
        message(f"{path}: {' '.join(error.format_message().split()).rstrip('.')}; see: {path} --help")
    return USAGE


if __name__ == "__main__":
    sys.exit(main())
