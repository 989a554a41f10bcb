"""Clients of the cluster: one that administers, one that finds offsets, one that reads, and FastStream's broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import AuthenticationFailedError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from broker.core.errors import CustodyError, LogUnavailableError, SettingsError
from broker.log.kafka import broken_connections
from broker.log.kafka.errors import DRIVER_ERRORS, guarded, translated
from broker.log.kafka.security import client_security, faststream_security, token_argument
from broker.log.kafka.topic_config import batch_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiokafka.protocol.metadata import MetadataResponse_v5 as MetadataResponse

    from broker.log.kafka.options import KafkaLogOptions

T = TypeVar("T")

RETRY_MS = 50
"""Between two tries of what failed for a passing reason, here and within aiokafka."""
PARTITION_FETCH_BYTES = 256 * 2**10
"""Of one partition in one fetch, or one larger batch: of each owned partition so much may wait in memory.

Source: https://kafka.apache.org/documentation/#consumerconfigs_max.partition.fetch.bytes, 2026-11-23."""
_FETCH_WAIT_MS = 100
"""How long a broker may hold a fetch that finds nothing. Whatever else aiokafka asks this broker stands behind it, on
the same connection: with the usual 500 ms, every change of a group took half a second longer (measured)."""
_BATCH_BYTES = 256 * 2**10
_JOINING_SECONDS = 5.0
_TRIES = 3
"""A broker that hangs is given up on early enough for another one to answer within `request_seconds`."""
_LONGEST_CONFIGURED_MS = 2**31 - 1

broken_connections.mend()


class Connections:
    """Opens the clients that work outside of groups, and lets go of them."""

    def __init__(self, options: KafkaLogOptions) -> None:
        self.options = options
        self.broker = faststream_broker(options, consumer_only=True)
        common = _common(options) | client_security(options.security)
        self._common = common
        self._admin = AIOKafkaAdminClient(**common)
        self._finder = AIOKafkaConsumer(**common, **_outside_groups(options))
        self._reader = AIOKafkaConsumer(**common, **_outside_groups(options))
        self._identity = ""
        self._closed = False

    @classmethod
    async def open(cls, options: KafkaLogOptions) -> Self:
        """Clients that have seen their cluster. Raises what `KafkaLog.open` does."""
        _refuse_addresses(options.bootstrap)
        connections = cls(options)
        try:
            await connections._open()
        except BaseException:
            await connections.close()
            raise
        return connections

    @property
    def identity(self) -> str:
        """The log's identity: that of the cluster, and its generation."""
        return self._identity

    @property
    def admin(self) -> AIOKafkaAdminClient:
        """Administers topics and groups."""
        self.refuse_closed()
        return self._admin

    @property
    def finder(self) -> AIOKafkaConsumer:
        """Finds first and end offsets; reads nothing."""
        self.refuse_closed()
        return self._finder

    @property
    def reader(self) -> AIOKafkaConsumer:
        """Reads one partition at a time."""
        self.refuse_closed()
        return self._reader

    def producer(self) -> AIOKafkaProducer:
        """A new producer, to be started: every replica in sync acknowledges, and a repeat is written once."""
        self.refuse_closed()
        return AIOKafkaProducer(**self._common, **_producing(self.options))

    def refuse_closed(self) -> None:
        """`LogUnavailableError` after `close`."""
        if self._closed:
            raise LogUnavailableError("the log is closed: open it again")

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeats what fails for a passing reason, until `request_seconds` are over."""
        deadline = _now() + self.options.request_seconds
        while True:
            self.refuse_closed()
            try:
                async with asyncio.timeout_at(deadline):
                    return await call()
            except KafkaError as error:
                if not error.retriable or _now() >= deadline:
                    raise
            await asyncio.sleep(RETRY_MS / 1000)

    @guarded("asking for an answer")
    async def ping(self) -> None:
        """Returns when a broker answers."""
        await self.insist(self._cluster_id)

    async def close(self) -> None:
        """Lets go of every client."""
        self._closed = True
        await self.broker.stop()
        for consumer in (self._reader, self._finder):
            await stop_consumer(consumer, consumer.stop)
        await self._admin.close()

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(self.options.request_seconds):
                await self._admin.start()
                await self._finder.start()
                await self._reader.start()
                await self.broker.start()
                cluster_id = await self.insist(self._cluster_id)
        except DRIVER_ERRORS as error:
            problem = await self._reason(error)
        else:
            generation = self.options.generation
            self._identity = f"kafka:{cluster_id}" + (f"/{generation}" if generation > 1 else "")
            return
        raise problem

    async def _cluster_id(self) -> str:
        answer = await self.admin._get_cluster_metadata([])  # noqa: SLF001 - the public ways ask for every topic there is
        return _cluster_id_of(answer)

    async def _reason(self, error: BaseException) -> CustodyError:
        """A refused login looks like a broker that does not answer: one more try tells them apart."""
        doing = f"connecting to {', '.join(self.options.bootstrap)}"
        host, port, _ = collect_hosts(list(self.options.bootstrap), randomize=False)[0]
        common = {name: value for name, value in self._common.items() if name in _OF_A_CONNECTION}
        try:
            connection = await create_conn(host, port, **common)
            try:
                _cluster_id_of(await connection.send(MetadataRequest([])))
            finally:
                connection.close()
        except DRIVER_ERRORS as reason:
            error = reason
        return translated(error, doing)


def _cluster_id_of(answer: MetadataResponse) -> str:
    """Who the cluster is. A broker that refuses a token gives an empty answer, since aiokafka took its no for a yes."""
    if not answer.brokers or not answer.cluster_id:
        raise AuthenticationFailedError
    return str(answer.cluster_id)


async def stop_consumer(consumer: AIOKafkaConsumer, stop: Callable[[], Awaitable[None]]) -> None:
    """Stops a consumer for good, and lets go of its connections, whoever is cancelled meanwhile.

    Its own `stop` cancels what it has under way, and in an outage trips over that (seen in 0.14.0): it then ends as
    if its caller had been cancelled, with its connections open.
    """

    async def end() -> None:
        stopping = asyncio.ensure_future(stop())
        await asyncio.wait({stopping})
        if stopping.cancelled() or stopping.exception() is not None:
            await consumer._client.close()  # noqa: SLF001 - nobody else would: the consumer counts as stopped

    await asyncio.shield(asyncio.create_task(end(), name="log-stopping"))


def faststream_broker(options: KafkaLogOptions, *, consumer_only: bool = False) -> KafkaBroker:
    """FastStream's broker for this log; without clients of its own to produce and to administer if `consumer_only`.

    It creates no topics, acknowledges nothing by itself and logs nothing: its logs would name keys and offsets of
    every message.
    """
    return KafkaBroker(
        **_common(options) | {"request_timeout_ms": int(_longest_request_seconds(options) * 1000)},
        metadata_max_age_ms=int(options.metadata_seconds * 1000),
        **token_argument(options.security),
        **({} if consumer_only else _producing(options)),
        security=faststream_security(options.security),
        consumer_only=consumer_only,
        allow_auto_create_topics=False,
        ack_policy=AckPolicy.MANUAL,
        logger=None,
    )


def group_arguments(options: KafkaLogOptions) -> dict[str, Any]:
    """How a member of a group behaves.

    Without a valid offset it raises rather than choose one. aiokafka's own watch over the time between two polls is
    off, since an error or a cancelled call within its `getmany` blinds it for good (seen in 0.14.0); the subscription
    keeps its own. A rebalance waits for a member as long as its session lasts.
    """
    heartbeat_seconds = min(options.heartbeat_seconds, options.session_seconds / 3)
    return {
        "auto_offset_reset": "none",
        "fetch_max_wait_ms": _FETCH_WAIT_MS,
        "fetch_max_bytes": options.fetch_bytes,
        "max_partition_fetch_bytes": min(PARTITION_FETCH_BYTES, options.fetch_bytes),
        "session_timeout_ms": int(options.session_seconds * 1000),
        "rebalance_timeout_ms": int(options.session_seconds * 1000),
        "heartbeat_interval_ms": int(heartbeat_seconds * 1000),
        "max_poll_interval_ms": _LONGEST_CONFIGURED_MS,
    }


def _common(options: KafkaLogOptions) -> dict[str, Any]:
    return {
        "bootstrap_servers": list(options.bootstrap),
        "client_id": options.client_id,
        "request_timeout_ms": int(options.request_seconds * 1000 / _TRIES),
        "retry_backoff_ms": RETRY_MS,
    }


def _longest_request_seconds(options: KafkaLogOptions) -> float:
    """A broker holds the request to join until the members that died are given up: given up on first, it begins anew.

    Source: https://kafka.apache.org/documentation/#consumerconfigs_request.timeout.ms, 2026-11-23
    """
    return max(options.request_seconds, options.session_seconds + _JOINING_SECONDS)


def _producing(options: KafkaLogOptions) -> dict[str, Any]:
    return {
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": None if options.compression == "none" else options.compression,
        "linger_ms": int(options.linger_seconds * 1000),
        "max_batch_size": min(_BATCH_BYTES, options.entry_bytes),
        "max_request_size": batch_bytes(options.entry_bytes),
    }


def _outside_groups(options: KafkaLogOptions) -> dict[str, Any]:
    return {
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "fetch_max_bytes": options.fetch_bytes,
    }


def _refuse_addresses(bootstrap: tuple[str, ...]) -> None:
    try:
        found = collect_hosts(list(bootstrap), randomize=False)
    except ValueError:
        found = []
    if not found or not all(host and 0 < port < 2**16 for host, port, _ in found):
        raise SettingsError(["log.bootstrap: not addresses as host:port; for example kafka-1.example:9092"])


_OF_A_CONNECTION = frozenset(
    {
        "client_id",
        "request_timeout_ms",
        "ssl_context",
        "security_protocol",
        "sasl_mechanism",
        "sasl_plain_username",
        "sasl_plain_password",
        "sasl_oauth_token_provider",
    }
)


def _now() -> float:
    return asyncio.get_running_loop().time()
