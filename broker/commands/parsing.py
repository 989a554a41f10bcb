"""`custody parse`: what a connector makes of bodies, without a server."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from broker import app
from broker.commands import context, output
from broker.commands.context import UsageError
from broker.core.identity import TenantKey
from broker.core.intake import new_delivery_id
from broker.core.model import Delivery, Origin
from broker.core.seal import Sealer
from broker.findings import closest, line, meant
from broker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from broker.core.item import Change
    from broker.core.model import Envelope

THROWAWAY = "throwaway"

ConnectorName = Annotated[str, typer.Argument(metavar="CONNECTOR", help="Whose bodies they are: whatsapp_cloud.")]
Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="JSON: a body, a list of bodies, or an object whose 'webhooks' holds them; - for standard input.",
        allow_dash=True,
    ),
]


def parse(connector: ConnectorName, files: Files, tenant: context.TenantName = None) -> None:
    """Parse bodies as the webhook would, and print a record's envelope for each item: one JSON document a line.

    Nothing is written and nothing is asked. Ids come from a throwaway key, or from that of --tenant.

    Example: custody parse whatsapp_cloud body.json

    Example: cat bodies.json | custody parse whatsapp_cloud -
    """
    if connector not in app.PARSERS:
        fault = f"no such connector{meant(closest(connector, app.PARSERS))}"
        raise UsageError(line("CONNECTOR", fault, ", ".join(app.PARSERS)))
    parser = _Parser(connector=connector, tenant=tenant or THROWAWAY, key=_key(tenant))
    for path in files:
        for body in bodies(_read(path)):
            for envelope in parser.envelopes(body):
                output.json_line(envelope)


def bodies(data: bytes) -> Iterator[bytes]:
    """The bodies of a file, each byte for byte. What is not JSON is one body too: the connector has to take it."""
    try:
        document = _opened(data)
        if isinstance(document, dict) and "webhooks" in document and "entry" not in document:
            document = _opened(bytes(document["webhooks"]))
            yield from (bytes(one) for one in (document.values() if isinstance(document, dict) else document))
        elif isinstance(document, list):
            yield from (bytes(one) for one in document)
        else:
            yield data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        yield data


def _opened(data: bytes) -> dict[str, msgspec.Raw] | list[msgspec.Raw]:
    return msgspec.json.decode(data, type=dict[str, msgspec.Raw] | list[msgspec.Raw])


class _Parser:
    """Parses and seals; accounts are named as the webhook edge names them."""

    def __init__(self, *, connector: str, tenant: str, key: TenantKey) -> None:
        self._version, self._parse = app.PARSERS[connector]
        self._connector, self._tenant, self._key = connector, tenant, key
        self._media_life = app.capabilities(Settings())[connector].media_life["default"]

    def envelopes(self, body: bytes) -> Iterator[Envelope]:
        delivery_id, now, index = new_delivery_id(secrets.token_bytes), app.now(), 0
        for change in self._parse(body):
            sealer = self._sealer(change)
            for item in change.items:
                delivery = Delivery(id=delivery_id, index=index, connector=self._version)
                yield sealer.seal(item, received_at=now, delivery=delivery, origin=Origin.LIVE).envelope
                index += 1

    def _sealer(self, change: Change) -> Sealer:
        group = f"waba.{change.account_group}" if change.account_group else "app"
        return Sealer(
            tenant=self._tenant,
            key=self._key,
            provider=self._connector,
            account=change.account or group,
            media_life=self._media_life,
            entropy=secrets.token_bytes,
        )


def _key(tenant: str | None) -> TenantKey:
    if tenant is None:
        return TenantKey(secrets.token_bytes(32))
    return context.tenant(app.registry(context.load("registry")), tenant).key


def _read(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        fault = f"{path}: can't be read: {(error.strerror or 'an input error').lower()}"
        raise UsageError(line("FILE", fault, "body.json, or - for standard input")) from None
