"""What `custody check` looks at, each finding with its remedy."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from broker import app
from broker.core.errors import CustodyError, RetryableError, SettingsError
from broker.core.ports import Finding
from broker.kafka_settings import kafka_options
from broker.postgres_findings import postgres_findings
from broker.registry import read_registry
from broker.settings import SERVERS, Profile, Server, Settings, setting_name
from broker.store_options import mongo_options, s3_options
from broker.store_settings import ROLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from broker.core.ports import BlobStore, EventLog, RecordStore
    from broker.core.registry import Account, Registry
    from broker.store_settings import Kind, StoreRole

_OPENERS: Mapping[Server, Callable[[Settings], Awaitable[EventLog | RecordStore | BlobStore]]] = {
    "log": app.open_log,
    "records": app.open_records,
    "blobs": app.open_blobs,
}
_LOGINS: Mapping[Kind, str] = {
    "postgres": "make its login: custody init --logins",
    "mongo": "make its login: custody init --logins",
    "kafka": "how it logs in: docs/operating.md",
    "s3": "the keys it is asked with: docs/operating.md",
}
"""What may be wrong with the login where a server does not answer, by kind."""


async def inspect(settings: Settings, *, ask_providers: bool = True) -> AsyncIterator[Finding]:
    """Everything there is to find, as it is found."""
    yield _profile(settings)
    reading = read_registry(app.registry_path(settings))
    for finding in reading.findings:
        yield finding
    if reading.registry is not None:
        yield _registered(reading.registry)
    log_answers = False
    async for finding in _all_server_findings(settings):
        log_answers = log_answers or (finding.subject, finding.level) == ("log", "ok")
        yield finding
    if reading.registry is not None:
        if log_answers:
            for finding in await topic_findings(settings, reading.registry):
                yield finding
        if ask_providers:
            async for finding in account_findings(settings, reading.registry):
                yield finding


async def _all_server_findings(settings: Settings) -> AsyncIterator[Finding]:
    """What is found on the log's server and on those of the store, and of the second store where there is one."""
    for server in SERVERS:
        for finding in await server_findings(settings, server):
            yield finding
    other = settings.second()
    if other is None:
        return
    for role in ROLES:
        for finding in await server_findings(other, role):
            yield _of_other(finding, role)


def _of_other(finding: Finding, role: StoreRole) -> Finding:
    """What was found of the second store, with its settings named as they stand."""
    name, its_name = setting_name(role, ""), setting_name("other", role, "")
    return Finding(
        level=finding.level,
        subject=f"other {role}",
        message=finding.message.replace(name, its_name),
        remedy=finding.remedy.replace(name, its_name),
    )


async def server_findings(settings: Settings, server: Server) -> list[Finding]:
    """Whether a server answers, has the schema of this version, and keeps what it acknowledges."""
    try:
        opened = await _OPENERS[server](settings)
    except CustodyError as error:
        return [_unopened(settings, server, error)]
    await opened.close()
    kind = settings.kind(server)
    message = "answers, with the schema of this version" if kind in {"postgres", "mongo"} else "answers"
    answers = Finding(level="ok", subject=server, message=message)
    try:
        return [answers, *[replace(one, subject=server) for one in await _FACTS_OF[kind](settings, server)]]
    except CustodyError as error:
        told = f"did not tell its settings ({error.code})"
        return [answers, Finding(level="warning", subject=server, message=told, remedy="custody check")]


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
            strict=_is_strict(settings),
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
    name = settings.place(server)
    if settings.kind(server) == "s3":
        name = f"{settings.name(server, 'endpoint')} or {name}"
    if isinstance(error, RetryableError):
        remedy = f"start the server, correct {name}, or {_LOGINS[settings.kind(server)]}"
    elif isinstance(error, SettingsError):
        remedy = f"correct {name}"
    else:
        remedy = "custody init"
    return Finding(level="problem", subject=server, message=str(error), remedy=remedy)


def _is_strict(settings: Settings) -> bool:
    return settings.profile is Profile.PRODUCTION


async def _postgres_facts(settings: Settings, server: Server) -> Sequence[Finding]:
    return await postgres_findings(settings.address(server), server, strict=_is_strict(settings))


async def _mongo_facts(settings: Settings, server: Server) -> Sequence[Finding]:
    from backends.mongo.findings import mongo_findings  # noqa: PLC0415 - its driver, for those who use it

    options = mongo_options(settings.records)
    return await mongo_findings(settings.address(server), options, strict=_is_strict(settings))


async def _s3_facts(settings: Settings, server: Server) -> Sequence[Finding]:  # noqa: ARG001 - blobs alone are on S3
    from backends.s3.findings import s3_findings  # noqa: PLC0415 - as above

    return await s3_findings(s3_options(settings), strict=_is_strict(settings))


async def _no_facts(settings: Settings, server: Server) -> Sequence[Finding]:  # noqa: ARG001 - a Kafka tells with topics
    return ()


_FACTS_OF: Mapping[Kind, Callable[[Settings, Server], Awaitable[Sequence[Finding]]]] = {
    "postgres": _postgres_facts,
    "mongo": _mongo_facts,
    "s3": _s3_facts,
    "kafka": _no_facts,
}
