"""A broken connection is one to be made anew, and nothing else ends by it; on uvloop, too, which the workers run on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import uvloop
from aiokafka import conn
from aiokafka.errors import KafkaConnectionError, RequestTimedOutError
from aiokafka.protocol.metadata import MetadataRequest

from broker.core.topics import Stream, TopicSpec, topic_name
from broker.log.kafka import KafkaLog, KafkaLogOptions
from tests.kafka_logs import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from tests.kafka_logs import KafkaLogs
    from tests.kafka_servers import SharedKafka

TOPIC = topic_name("acme", Stream.MESSAGES)


async def on_uvloop(play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Plays it on a loop of its own, in another thread: this test's loop is asyncio's."""

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(play())

    await asyncio.to_thread(run)


async def broken(connection: conn.AIOKafkaConnection) -> None:
    """Returns when the connection is closed, and its reader has not heard of it yet."""
    connection._writer.transport.abort()
    while not connection._closed_fut.done():  # noqa: ASYNC110 - once anybody is woken, the reader is
        await asyncio.sleep(0)


async def test_a_write_to_a_broken_connection_says_that_it_is_broken(kafka_server: SharedKafka) -> None:
    host, _, port = kafka_server.bootstrap[0].rpartition(":")

    async def play() -> None:
        closed: list[object] = []
        connection = await conn.create_conn(host, int(port), on_close=lambda _, reason: closed.append(reason))
        await broken(connection)
        with pytest.raises(KafkaConnectionError):
            await connection.send(MetadataRequest([]))
        assert closed == [conn.CloseReason.CONNECTION_BROKEN]
        assert not connection.connected()

    await on_uvloop(play)


async def test_a_token_is_not_written_to_a_broken_connection_either(kafka_server: SharedKafka) -> None:
    host, _, port = kafka_server.bootstrap[0].rpartition(":")

    async def play() -> None:
        connection = await conn.create_conn(host, int(port))
        await broken(connection)
        with pytest.raises(KafkaConnectionError):
            await connection._send_sasl_token(b"token")

    await on_uvloop(play)


async def test_a_client_whose_connections_broke_finds_its_brokers_again(
    logs: KafkaLogs, kafka_server: SharedKafka
) -> None:
    await (await logs.open()).create_topics([TopicSpec(name=TOPIC, partitions=2, retention_seconds=None)])

    async def play() -> None:
        log = await KafkaLog.open(KafkaLogOptions(bootstrap=kafka_server.bootstrap, **QUICK))
        try:
            found = await log.bounds([TOPIC])
            client = log._connections.finder._client
            (connection,) = client._conns.values()
            await broken(connection)
            connection.connected = lambda: connection._reader is not None  # so where it was reset: no end was read
            assert await client._metadata_update(client.cluster, [TOPIC]) is False  # its own task asks like this
            assert await log.bounds([TOPIC]) == found
        finally:
            await log.close()

    await on_uvloop(play)


async def test_an_answer_that_does_not_come_closes_its_own_connection(logs: KafkaLogs) -> None:
    client = (await logs.open())._connections.admin._client
    broker = client.get_random_node()
    await client.send(broker, MetadataRequest([]))
    (connection,) = client._conns.values()
    connection._request_timeout = 0.2
    connection._handle_frame = lambda _: None
    waiting = asyncio.create_task(client.send(broker, MetadataRequest([])))
    await asyncio.sleep(0)
    client._conns.clear()  # another call gave it up meanwhile, and could not make a new one
    with pytest.raises(RequestTimedOutError):
        await waiting
    assert not connection.connected()
    assert (await client.send(broker, MetadataRequest([]))).brokers
