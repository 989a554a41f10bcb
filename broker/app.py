"""The wiring: what the settings name, made. The one place that knows every connector and every server."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from broker.core.entropy import SeededEntropy
from broker.core.errors import SettingsError
from broker.core.ports import Subscription
from broker.core.topics import ACCOUNTED_STREAMS, topic_name
from broker.discretion import LOGS
from broker.findings import line
from broker.live_registry import LiveRegistry
from broker.opening import open_blobs, open_records
from broker.own_servers import embedded
from broker.preparing import prepare, topics_of
from broker.registry import load_registry
from broker.servers import bootstrap, now, open_log, open_tables, open_topics
from broker.settings import Settings, setting_name
from broker.sources import load_file
from connectors.whatsapp_cloud import webhook
from connectors.whatsapp_cloud.capabilities import NAME as WHATSAPP_CLOUD
from connectors.whatsapp_cloud.capabilities import capabilities as cloud_capabilities
from connectors.whatsapp_cloud.parse import CONNECTOR_VERSION
from connectors.whatsapp_cloud.parse import parse as parse_cloud

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from contextlib import AsyncExitStack
    from pathlib import Path

    from starlette.routing import Route

    from broker.core.item import Change
    from broker.core.metrics import Metrics
    from broker.core.ports import Capabilities, Clock, Connector, Entropy, EventLog, OpenBlobs
    from broker.core.registry import App, Registry
    from broker.core.tracing import Tracing
    from broker.measures import OtelMetrics
    from broker.tracing import OtelTracing

__all__ = [
    "PARSERS",
    "Provider",
    "Subscription",
    "accounted_topics",
    "bootstrap",
    "capabilities",
    "embedded",
    "entered",
    "entropy",
    "live_registry",
    "metrics",
    "now",
    "open_blobs",
    "open_connectors",
    "open_log",
    "open_records",
    "open_tables",
    "open_topics",
    "prepare",
    "providers",
    "registry",
    "registry_path",
    "settings_of",
    "topics_of",
    "tracing",
]


class Closable(Protocol):
    """Whatever lets go of its connections."""

    async def close(self) -> None:
        """Lets go."""
        ...


C = TypeVar("C", bound=Closable)

PARSERS: Mapping[str, tuple[str, Callable[[bytes], Sequence[Change]]]] = {
    WHATSAPP_CLOUD: (CONNECTOR_VERSION, parse_cloud),
}
"""Each connector's version and its parser, which is pure."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A connector's webhook edge, with the bounds that the settings give it."""

    name: str
    limits: webhook.EdgeLimits

    def routes(  # noqa: PLR0913 - the edge's ports, each by its name
        self,
        *,
        registry: Callable[[], Registry],
        log: EventLog,
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
        tracing: Tracing,
        blobs: OpenBlobs,
        draining: Callable[[], bool],
    ) -> list[Route]:
        """Its routes; see `connectors.whatsapp_cloud.webhook.routes`."""
        return webhook.routes(
            registry=registry,
            log=log,
            clock=clock,
            entropy=entropy,
            metrics=metrics,
            tracing=tracing,
            blobs=blobs,
            limits=self.limits,
            draining=draining,
        )


def settings_of(path: Path) -> Settings:
    """The settings of one file alone. `SettingsError`."""
    return load_file(path)


def registry_path(settings: Settings) -> Path:
    """Where the registry lies. `SettingsError` when the settings do not say."""
    if settings.registry is None:
        name = setting_name("registry")
        raise SettingsError([line(name, "is missing", f"{name}=/etc/custody/custody.toml")])
    return settings.registry


def registry(settings: Settings) -> Registry:
    """The registry as it is now. `SettingsError` has a finding for each problem."""
    found = load_registry(registry_path(settings))
    LOGS.permit_registered(found)
    return found


@asynccontextmanager
async def live_registry(settings: Settings) -> AsyncIterator[LiveRegistry]:
    """The registry, read again whenever it changes. `SettingsError` when it is not good at the start."""
    live = LiveRegistry(registry_path(settings), poll_seconds=settings.registry_poll_seconds)
    LOGS.permit_registered(live())
    live.on_change(LOGS.permit_registered)
    async with live.watching():
        yield live


def entropy(settings: Settings) -> Entropy:
    """Where salts and ids come from: the system, or, to repeat a demo, a seed."""
    return secrets.token_bytes if settings.seed is None else SeededEntropy(settings.seed)


def metrics(settings: Settings) -> OtelMetrics:
    """Where counts go."""
    from broker import measures  # noqa: PLC0415 - OpenTelemetry takes half a second to import; few commands count

    return measures.metrics(settings.telemetry)


def tracing(settings: Settings) -> OtelTracing | None:
    """Where spans go; None where nobody wants them."""
    if settings.telemetry.traces == "none":
        return None
    from broker import tracing as traces  # noqa: PLC0415 - likewise

    return traces.tracing(settings.telemetry)


def providers(settings: Settings) -> Sequence[Provider]:
    """The webhook edges there are."""
    edge = settings.edge
    limits = webhook.EdgeLimits(
        body_bytes=edge.body_bytes,
        in_flight_bytes=edge.in_flight_bytes,
        in_flight_bodies=edge.in_flight_bodies,
        read_seconds=edge.read_seconds,
        append_seconds=edge.append_seconds,
        retry_after_seconds=edge.retry_after_seconds,
        recent_identities=edge.recent_identities,
    )
    return (Provider(WHATSAPP_CLOUD, limits),)


def capabilities(settings: Settings) -> Mapping[str, Capabilities]:
    """What each provider can do."""
    return {WHATSAPP_CLOUD: cloud_capabilities(_media_hosts(settings))}


async def open_connectors(
    settings: Settings, registry: Callable[[], Registry] | None = None
) -> Mapping[str, Connector]:
    """Each connector by its name. `check` needs the registry, to ask about an account's app."""
    from connectors.whatsapp_cloud.client import CloudSettings  # noqa: PLC0415 - aiohttp likewise
    from connectors.whatsapp_cloud.connector import WhatsAppCloud  # noqa: PLC0415 - likewise

    def app_of(name: str) -> App | None:
        return registry().apps.get(name) if registry is not None else None

    cloud = CloudSettings(graph_url=settings.whatsapp_cloud.graph_url, extra_media_hosts=_media_hosts(settings))
    return {WHATSAPP_CLOUD: WhatsAppCloud(clock=now, app_of=app_of, settings=cloud)}


def accounted_topics(tenant: str) -> list[str]:
    """The topics whose entries the account counts as accepted."""
    return [topic_name(tenant, stream) for stream in ACCOUNTED_STREAMS]


async def entered(exits: AsyncExitStack, opening: Awaitable[C]) -> C:
    """What was opened, closed again when the stack is left."""
    opened = await opening
    exits.push_async_callback(opened.close)
    return opened


def _media_hosts(settings: Settings) -> tuple[str, ...]:
    return tuple(one.rpartition("://")[2] for one in settings.whatsapp_cloud.extra_media_hosts)
