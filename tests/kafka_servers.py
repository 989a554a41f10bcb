"""Kafka for the tests: where it comes from, and clusters that a test may break."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from broker.log.kafka.local import ClusterOptions, KafkaCluster, LocalKafkaError
from broker.log.kafka.local.java import find_java
from broker.log.kafka.local.libraries import usable_libraries
from tests.servers import docker_runs, unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

KAFKA_VARIABLE = "CUSTODY_TEST_KAFKA"
_DOCKER_IMAGE = "confluentinc/cp-kafka:8.1.0"  # Kafka 4.1; the container's start script is made for this image
_REMEDY = f"set {KAFKA_VARIABLE} to an address, or start Docker"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedKafka:
    """The broker of the whole run, plain and open. Name topics and groups apart in each test."""

    bootstrap: tuple[str, ...]


def refuse_without_kafka() -> None:
    """Skips, or fails in CI, where `shared_kafka` would; no event loop is left half way by that."""
    if os.environ.get(KAFKA_VARIABLE):
        return
    if (missing := missing_for_local_kafka()) and not docker_runs():
        unavailable(f"Kafka: {missing}; or {_REMEDY}")


def refuse_without_local_kafka() -> None:
    """Likewise where `private_kafka` would."""
    if missing := missing_for_local_kafka():
        unavailable(f"A Kafka to stop and kill: {missing}")


@asynccontextmanager
async def shared_kafka() -> AsyncGenerator[SharedKafka]:
    """A broker of the caller's own, a local one, or a container, whichever is there first."""
    if address := os.environ.get(KAFKA_VARIABLE):
        yield SharedKafka(bootstrap=tuple(address.split(",")))
    elif (missing := await asyncio.to_thread(missing_for_local_kafka)) is None:
        async with await KafkaCluster.start() as cluster:
            yield SharedKafka(bootstrap=cluster.bootstrap)
    elif docker_runs():
        async with _container() as address:
            yield SharedKafka(bootstrap=(address,))
    else:
        unavailable(f"Kafka: {missing}; or {_REMEDY}")


@asynccontextmanager
async def private_kafka(options: ClusterOptions | None = None) -> AsyncGenerator[KafkaCluster]:
    """A cluster whose brokers the test may stop, kill, freeze and restart. Without options: one, temporary."""
    if missing := await asyncio.to_thread(missing_for_local_kafka):
        unavailable(f"A Kafka to stop and kill: {missing}")
    async with await KafkaCluster.start(options) as cluster:
        yield cluster


def missing_for_local_kafka() -> str | None:
    """Why no broker can be started here; None if one can. Fetches Kafka's libraries the first time."""
    try:
        usable_libraries(find_java())
    except LocalKafkaError as error:
        return str(error)
    return None


@asynccontextmanager
async def _container() -> AsyncGenerator[str]:
    from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415 - slow to import, and seldom of use

    with KafkaContainer(_DOCKER_IMAGE).with_kraft() as server:
        yield server.get_bootstrap_server()
