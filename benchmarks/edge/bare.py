"""The floor: a bare ASGI handler that checks the signature and appends the entries that the edge would append.

It reads nothing of a body: its entries lie ready, under its signature. Server, settings and log are the edge's own.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn

from benchmarks import tenant, traffic
from benchmarks.edge.orders import SEED, ServerOrders
from benchmarks.edge.real import HOST, account
from benchmarks.logs import open_log
from broker import collector
from broker.core.ports import EventLog, NewEntry
from connectors.whatsapp_cloud.signature import HEADER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from benchmarks.child import Orders

    Message = MutableMapping[str, Any]

_HEADER = HEADER.encode()


@dataclass(frozen=True, slots=True)
class Bare:
    """The application."""

    log: EventLog
    prepared: Mapping[bytes, Sequence[NewEntry]]

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        claimed = next((value for name, value in scope["headers"] if name == _HEADER), b"")
        status = 401
        if hmac.compare_digest(tenant.signature(body), claimed):
            await self.log.append(self.prepared[claimed])
            status = 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


async def main(orders: Orders) -> None:
    """Serves until the parent wants no more."""
    wanted = await orders.next(ServerOrders)
    log = await open_log(wanted.log)
    prepared = prepared_entries(items=wanted.pool_items, items_a_body=wanted.items_a_body)
    config = uvicorn.Config(
        Bare(log, prepared),
        host=HOST,
        port=wanted.port,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    collector.settle()
    serving = asyncio.create_task(server.serve())
    await account(orders)
    server.should_exit = True
    await serving
    await log.close()


def prepared_entries(*, items: int, items_a_body: int) -> Mapping[bytes, Sequence[NewEntry]]:
    """Entries by signature, body after body, as they are once every identity has been told of."""
    sealing = traffic.Sealing(bytes)
    bodies = list(traffic.bodies(seed=SEED, items=items, items_a_body=items_a_body))
    for body in bodies:
        sealing.entries(body)
    return {tenant.signature(body): sealing.entries(body) for body in bodies}
