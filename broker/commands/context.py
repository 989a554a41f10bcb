"""What commands share: settings, the event loop, open servers, options, and acts."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from broker import acts, app, sources
from broker.core.errors import CustodyError, SettingsError
from broker.core.ports import RecordStore
from broker.core.registry import Registry
from broker.findings import closest, line, meant
from broker.settings import Settings
from broker.telemetry import configure_logging

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Coroutine, Sequence

    from broker.core.registry import Tenant

T = TypeVar("T")

Json = Annotated[
    bool, typer.Option("--json", metavar=" ", help="Print one JSON document on standard output, and nothing else.")
]
TenantName = Annotated[str | None, typer.Option("--tenant", "-t", metavar="NAME", help="This tenant only.")]
Reason = Annotated[str, typer.Option("--reason", "--why", metavar="WHY", help="Why you do it; kept with the act.")]
By = Annotated[
    str | None, typer.Option("--by", metavar="WHO", help="Who does it, if not the account that runs this command.")
]


class UsageError(CustodyError):
    """The command line asks for what can't be; the message says what to write instead."""

    code = "usage"


class NotFoundError(CustodyError):
    """What was asked for is not there."""

    code = "not_found"


class FailedError(CustodyError):
    """What the command was to find out or to do came out badly; everything about it is printed already."""

    code = "failed"

    def __init__(self, exit_code: int) -> None:
        super().__init__("")
        self.exit_code = exit_code


def load(*needs: str) -> Settings:
    """The settings, and logging as they want it: one-off commands log warnings only."""
    settings = sources.load(needs=needs)
    quiet = settings.telemetry.model_copy(update={"log_level": max_level(settings.telemetry.log_level)})
    configure_logging(quiet, profile=settings.profile)
    return settings


def max_level(wanted: str) -> str:
    """The wanted level of logs, but warnings at least."""
    return wanted if wanted == "error" else "warning"


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's work to its end."""
    return asyncio.run(work)


async def with_servers(exits: AsyncExitStack, settings: Settings, *, log: bool = True) -> None:
    """Starts what Custody runs itself, for as long as the command lasts; without `log`, only what stores need."""
    await exits.enter_async_context(app.embedded(settings, log=log))


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The record store and what it is looked at with. Whatever else is opened goes to `exits`."""

    settings: Settings
    registry: Registry
    store: RecordStore
    exits: AsyncExitStack


@asynccontextmanager
async def opened_store(*needs: str) -> AsyncGenerator[Opened]:
    """Settings with these sections besides, the registry, and the record store, for as long as the block lasts."""
    async with AsyncExitStack() as exits:
        settings = load(*needs, "records", "registry")
        registry = app.registry(settings)
        await with_servers(exits, settings)
        store = await app.entered(exits, app.open_records(settings))
        yield Opened(settings=settings, registry=registry, store=store, exits=exits)


def tenants(registry: Registry, name: str | None) -> Sequence[Tenant]:
    """All tenants, or the one that is named."""
    return list(registry.tenants.values()) if name is None else [tenant(registry, name)]


def tenant(registry: Registry, name: str) -> Tenant:
    """A tenant by its name. `UsageError` with the names there are."""
    found = registry.tenants.get(name)
    if found is None:
        raise UsageError(_unknown("--tenant", "tenant", name, registry.tenants))
    return found


async def keep_act(store: RecordStore, doing: acts.Doing, of: Tenant) -> str:
    """Keeps an act, before it is done; its record id."""
    record = acts.act_record(doing, tenant=of, at=app.now(), entropy=secrets.token_bytes)
    await store.keep_act(record)
    return record.envelope.record_id


def doer(by: str | None) -> str:
    """Who does it."""
    return by or acts.operator()


def required_reason(reason: str, *, for_what: str) -> str:
    """A reason of at least a word. `UsageError` without one."""
    if not reason.strip():
        raise UsageError(f'--reason: {for_what} leaves an act, which says why; for example --reason "complaint 4711"')
    return reason.strip()


def _unknown(option: str, what: str, name: str, known: Collection[str]) -> str:
    there = ", ".join(sorted(known)) or "none is registered"
    return line(option, f"no such {what}{meant(closest(name, known))}", there)


__all__ = ["FailedError", "NotFoundError", "SettingsError", "UsageError"]
