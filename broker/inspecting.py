"""What `custody check` looks at, each finding with its remedy."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import asyncpg

from broker import app
from broker.core.errors import CustodyError, RetryableError, SettingsError
from broker.core.ports import Finding
from broker.kafka_settings import kafka_options
from broker.registry import read_registry
from broker.settings import SERVERS, Profile, Server, Settings, setting_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

    from broker.core.ports import BlobStore, EventLog, RecordStore
    from broker.core.registry import Account, Registry

_CONNECT_SECONDS = 10.0
_FACTS = """
SELECT rolsuper OR rolbypassrls AS mighty, current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('log_error_verbosity') AS verbosity
FROM pg_catalog.pg_roles WHERE rolname = current_user
"""
_OPENERS: Mapping[Server, Callable[[Settings], Awaitable[EventLog | RecordStore | BlobStore]]] = {
    "log": app.open_log,
    "records": app.open_records,
    "blobs": app.open_blobs,
}


async def inspect(settings: Settings, *, ask_providers: bool = True) -> AsyncIterator[Finding]:
    """Everything there is to find, as it is found."""
    yield _profile(settings)
    reading = read_registry(app.registry_path(settings))
    for finding in reading.findings:
        yield finding
    if reading.registry is not None:
        yield _registered(reading.registry)
    log_answers = False
    for server in SERVERS:
        for finding in await server_findings(settings, server):
            log_answers = log_answers or (finding.subject, finding.level) == ("log", "ok")
            yield finding
    if reading.registry is not None:
        if log_answers:
            for finding in await topic_findings(settings, reading.registry):
                yield finding
        if ask_providers:
            async for finding in account_findings(settings, reading.registry):
                yield finding


async def server_findings(settings: Settings, server: Server) -> list[Finding]:
    """Whether a server answers, has the schema of this version, and keeps what it acknowledges."""
    try:
        opened = await _OPENERS[server](settings)
    except CustodyError as error:
        return [_unopened(settings, server, error)]
    await opened.close()
    if server not in settings.databases:
        return [Finding(level="ok", subject=server, message="answers")]
    findings = [Finding(level="ok", subject=server, message="answers, with the schema of this version")]
    return [*findings, *await _facts(settings, server)]


async def topic_findings(settings: Settings, registry: Registry) -> Sequence[Finding]:
    """Whether every tenant has its topics; on Kafka, whether they and the cluster are as the promises need them."""
    if settings.log.kind == "kafka":
        return await _cluster_findings(settings, registry)
    wanted = [one.name for one in app.topics_of(settings, registry)]
    try:
        log = await app.open_log(settings)
        try:
            there = set(await log.topics())
        finally:
            await log.close()
    except CustodyError as error:
        return [_unseen(error)]
    missing = [one for one in wanted if one not in there]
    if not missing:
        return [Finding(level="ok", subject="topics", message=f"all {len(wanted)} are there")]
    shown = ", ".join(missing[:3]) + (", .." if len(missing) > 3 else "")  # noqa: PLR2004 - enough to see which
    message = f"{len(missing)} of {len(wanted)} are missing: {shown}"
    return [Finding(level="problem", subject="topics", message=message, remedy="custody init, or custody tenant apply")]


async def _cluster_findings(settings: Settings, registry: Registry) -> Sequence[Finding]:
    from broker.log.kafka.admin import kafka_findings  # noqa: PLC0415 - aiokafka comes along, for those who use it

    try:
        return await kafka_findings(
            kafka_options(settings.log),
            app.topics_of(settings, registry),
            strict=settings.profile is Profile.PRODUCTION,
            erase_after_seconds={name: tenant.erase_after_seconds for name, tenant in registry.tenants.items()},
        )
    except CustodyError as error:
        return [_unseen(error)]


def _unseen(error: CustodyError) -> Finding:
    """That nobody knows whether the topics are as they should be."""
    message = f"can't be looked at: {error}"
    return Finding(level="problem", subject="topics", message=message, remedy="mend that, then: custody check")


async def account_findings(
    settings: Settings, registry: Registry, accounts: Sequence[Account] | None = None
) -> AsyncIterator[Finding]:
    """What each account's provider says of it."""
    async with AsyncExitStack() as exits:
        connectors = await app.open_connectors(settings, lambda: registry)
        for connector in connectors.values():
            exits.push_async_callback(connector.close)
        for account in registry.accounts.values() if accounts is None else accounts:
            try:
                for finding in await connectors[account.provider].check(account):
                    yield finding
            except CustodyError as error:
                yield Finding(
                    level="problem",
                    subject=account.name,
                    message=f"can't be asked about: {error}",
                    remedy="renew its token, or look at the provider's status page; then: custody account check",
                )


def _profile(settings: Settings) -> Finding:
    if settings.profile is Profile.PRODUCTION:
        return Finding(level="ok", subject="profile", message="production")
    return Finding(
        level="warning",
        subject="profile",
        message=f"{settings.profile}: what is only fit for trying out is not refused",
        remedy=f"{setting_name('profile')}=production where real messages flow",
    )


def _registered(registry: Registry) -> Finding:
    if not registry.accounts:
        message = "has no account, so that every body is kept as unclaimed"
        return Finding(level="warning", subject="registry", message=message, remedy="docs/registering.md")
    message = f"tenants {len(registry.tenants)}, apps {len(registry.apps)}, accounts {len(registry.accounts)}"
    return Finding(level="ok", subject="registry", message=message)


def _unopened(settings: Settings, server: Server, error: CustodyError) -> Finding:
    database = server in settings.databases
    name = setting_name(server, "dsn" if database else "bootstrap")
    if isinstance(error, RetryableError):
        login = "make its login: custody init --logins" if database else "how it logs in: docs/operating.md"
        remedy = f"start the server, correct {name}, or {login}"
    elif isinstance(error, SettingsError):
        remedy = f"correct {name}"
    else:
        remedy = "custody init"
    return Finding(level="problem", subject=server, message=str(error), remedy=remedy)


async def _facts(settings: Settings, server: Server) -> list[Finding]:
    try:
        connection = await asyncpg.connect(settings.address(server), timeout=_CONNECT_SECONDS)
        try:
            found = await connection.fetchrow(_FACTS)
        finally:
            await connection.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        message = f"did not tell its settings ({type(error).__name__})"
        return [Finding(level="warning", subject=server, message=message, remedy="custody check")]
    return list(_judged(server, dict(found or {}), strict=settings.profile is Profile.PRODUCTION))


def _judged(server: Server, facts: Mapping[str, object], *, strict: bool) -> Iterator[Finding]:
    """What the server's own settings mean for the promises."""
    grave = "problem" if strict else "warning"
    if facts.get("mighty"):
        remedy = "custody init --logins with a user of its own, and CUSTODY_*__ADMIN_DSN for the administrator"
        message = "the login may do anything, so that nothing but care keeps records from being changed"
        yield Finding(level=grave, subject=server, message=message, remedy=remedy)
    if facts.get("fsync") != "on":
        message = "fsync is off: the server forgets what it acknowledged when the power fails"
        yield Finding(level=grave, subject=server, message=message, remedy="fsync = on in postgresql.conf")
    if facts.get("full_page_writes") != "on":
        message = "full_page_writes is off: a page half written stays broken"
        yield Finding(level=grave, subject=server, message=message, remedy="full_page_writes = on")
    if facts.get("synchronous_commit") == "off":
        message = "synchronous_commit is off by default: Custody sets it for itself, others may not"
        yield Finding(level="warning", subject=server, message=message, remedy="synchronous_commit = on")
    if facts.get("verbosity") != "terse":
        message = "its own log may quote rows in the details of errors"
        yield Finding(level="warning", subject=server, message=message, remedy="log_error_verbosity = terse")
