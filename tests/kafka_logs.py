"""Logs on a Kafka that several tests share, one after the other: each finds it empty, and leaves it so."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from broker.log.kafka import KafkaLog, KafkaLogOptions
from tests.kafka_clients import ask_members_out, groups_of
from tests.kafka_wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

_SHORTEST_SESSION = "group.min.session.timeout.ms"
QUICK: dict[str, Any] = {
    "replication": 1,
    "min_insync": 1,
    "heartbeat_seconds": 0.1,
    "metadata_seconds": 0.2,
    "request_seconds": 6.0,
}
"""One broker, and short waits."""


class KafkaLogs:
    """Clients, each with a wire of its own to the brokers."""

    largest_value_bytes = 900_000

    def __init__(self, bootstrap: Sequence[str], shortest_session_seconds: float) -> None:
        self._bootstrap = bootstrap
        self._shortest_session_seconds = shortest_session_seconds
        self._wires: dict[KafkaLog, Wire] = {}

    async def open(
        self,
        *,
        lease_seconds: float = 30.0,
        idle_seconds: float = 300.0,
        **options: Any,  # noqa: ANN401 - those of KafkaLogOptions
    ) -> KafkaLog:
        wire = Wire()
        wire.down = any(other.down for other in self._wires.values())
        session_seconds = max(lease_seconds, self._shortest_session_seconds)
        wished = KafkaLogOptions(
            bootstrap=await wire.to(self._bootstrap),
            **{"session_seconds": session_seconds, "poll_seconds": idle_seconds} | QUICK | options,
        )
        try:
            log = await KafkaLog.open(wished)
        except BaseException:
            await wire.close()
            raise
        self._wires[log] = wire
        return log

    def wire(self, log: KafkaLog) -> Wire:
        return self._wires[log]

    def stall(self, log: object) -> None:
        assert isinstance(log, KafkaLog)
        self._wires[log].silence()

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        for wire in self._wires.values():
            wire.cut()
        yield
        for wire in self._wires.values():
            wire.mend()

    async def close(self) -> None:
        await asyncio.gather(*(log.close() for log in self._wires))
        await asyncio.gather(*(wire.close() for wire in self._wires.values()))


@asynccontextmanager
async def kafka_logs(bootstrap: Sequence[str]) -> AsyncIterator[KafkaLogs]:
    """A factory on a Kafka that is emptied before, since others use it too, and afterwards."""
    admin = AIOKafkaAdminClient(bootstrap_servers=list(bootstrap))
    await admin.start()
    try:
        await _clear(admin)
        logs = KafkaLogs(bootstrap, await _shortest_session_seconds(admin))
        try:
            yield logs
        finally:
            await logs.close()
            await _clear(admin)
    finally:
        await admin.close()


async def until_not(holds: Callable[[], Awaitable[bool]]) -> None:
    """Returns once this holds no longer: brokers do some things later."""
    async with asyncio.timeout(60):
        while await holds():  # noqa: ASYNC110 - the brokers tell nobody
            await asyncio.sleep(0.02)


async def _shortest_session_seconds(admin: AIOKafkaAdminClient) -> float:
    node = (await admin.describe_cluster())["brokers"][0]["node_id"]
    wanted = ConfigResource(ConfigResourceType.BROKER, str(node), {_SHORTEST_SESSION: ""})
    (answer,) = await admin.describe_configs([wanted])
    ((_, _, _, _, settings),) = answer.resources
    return int(settings[0][1]) / 1000


async def _clear(admin: AIOKafkaAdminClient) -> None:
    """Takes every topic of Custody away, and waits until the groups' offsets went with them.

    Members that could not leave, or kept their place as static ones do, are asked out.
    """
    await ask_members_out(admin)
    names = [name for name in await admin.list_topics() if name.startswith("custody.")]
    if names:
        await admin.delete_topics(names)
    await until_not(lambda: _anything_left(admin))


async def _anything_left(admin: AIOKafkaAdminClient) -> bool:
    return any(name.startswith("custody.") for name in await admin.list_topics()) or await _offsets_left(admin)


async def _offsets_left(admin: AIOKafkaAdminClient) -> bool:
    for group in await groups_of(admin):
        try:
            if await admin.list_consumer_group_offsets(group):
                return True
        except KafkaError:
            return True
    return False
