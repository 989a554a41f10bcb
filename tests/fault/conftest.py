"""Stages for the fault tests: one Postgres for all of them, and one Kafka, with fresh databases and topics for each."""

from __future__ import annotations

import functools
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.stage import Layout, Servers, Stage, StageOptions, cluster, one_server, three_servers
from tests.stage.nursery import running_nursery
from tests.stage.servers import ROLES
from tests.stage.stores import on_s3_mongo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from backends.postgres.embedded import EmbeddedPostgres
    from broker.log.kafka.local import KafkaCluster
    from tests.mongo_servers import SharedMongo
    from tests.s3_servers import SharedS3

    OpenStage = Callable[[StageOptions], AbstractAsyncContextManager[Stage]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fault_postgres() -> AsyncIterator[EmbeddedPostgres]:
    """One server for all stages, which no test stops."""
    async with one_server() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fault_kafka(local_kafka_here: None) -> AsyncIterator[KafkaCluster]:  # noqa: ARG001 - it skips first
    """One broker for all stages with their log on Kafka, which no test stops."""
    async with cluster() as started:
        yield started


@pytest.fixture(scope="session")
def nursery() -> Iterator[Path]:
    """Where the workers' processes come from."""
    with tempfile.TemporaryDirectory(prefix="custody-stage-") as folder, running_nursery(Path(folder)) as path:
        yield path


@pytest.fixture
def open_stage(fault_postgres: EmbeddedPostgres, nursery: Path, tmp_path: Path) -> OpenStage:
    """Opens a stage on the shared server."""
    return functools.partial(_opened, dict.fromkeys(ROLES, fault_postgres), nursery, tmp_path)


@pytest.fixture(params=["postgres", "kafka"])
def open_log_stage(request: pytest.FixtureRequest) -> OpenStage:
    """Opens a stage on the shared servers, with its log on each kind in turn."""
    opener: OpenStage = request.getfixturevalue("open_kafka_stage" if request.param == "kafka" else "open_stage")
    return lambda options: opener(replace(options, log=request.param))


@pytest.fixture
def open_s3_mongo_stage(open_stage: OpenStage, mongo_server: SharedMongo, s3_server: SharedS3) -> OpenStage:
    """Opens a stage on the shared servers: its log on Postgres, its records on MongoDB, its blobs on S3."""

    @asynccontextmanager
    async def opened(options: StageOptions) -> AsyncGenerator[Stage]:
        async with (
            on_s3_mongo(mongo_server, s3_server) as there,
            open_stage(replace(options, layout=Layout(main=there))) as stage,
        ):
            yield stage

    return opened


@pytest.fixture(params=["postgres", "kafka", "s3_mongo"])
def open_each_stage(request: pytest.FixtureRequest) -> OpenStage:
    """Opens a stage on the shared servers: all on Postgres, its log on Kafka, its stores on MongoDB and S3, in turn."""
    name = {"postgres": "open_stage", "kafka": "open_kafka_stage", "s3_mongo": "open_s3_mongo_stage"}[request.param]
    opener: OpenStage = request.getfixturevalue(name)
    return lambda options: opener(replace(options, log="kafka" if request.param == "kafka" else "postgres"))


@pytest_asyncio.fixture
async def open_private_stage(nursery: Path, tmp_path: Path) -> AsyncIterator[OpenStage]:
    """Opens a stage on one server of its own, which the test may kill."""
    async with AsyncExitStack() as exits:
        server = await exits.enter_async_context(one_server())
        yield functools.partial(_opened, dict.fromkeys(ROLES, server), nursery, tmp_path)


@pytest_asyncio.fixture
async def open_wide_stage(nursery: Path, tmp_path: Path) -> AsyncIterator[OpenStage]:
    """Opens a stage on three servers of its own: log, records and blobs may be stopped one by one."""
    async with three_servers() as servers:
        yield functools.partial(_opened, servers, nursery, tmp_path)


@pytest.fixture
def open_kafka_stage(
    fault_postgres: EmbeddedPostgres, fault_kafka: KafkaCluster, nursery: Path, tmp_path: Path
) -> OpenStage:
    """Opens a stage on the shared servers, its log on the shared broker."""
    return functools.partial(_opened, dict.fromkeys(ROLES, fault_postgres), nursery, tmp_path, kafka=fault_kafka)


@pytest_asyncio.fixture
async def open_lone_stage(
    local_kafka_here: None,  # noqa: ARG001 - likewise
    fault_postgres: EmbeddedPostgres,
    nursery: Path,
    tmp_path: Path,
) -> AsyncIterator[OpenStage]:
    """Opens a stage with its log on one broker of its own, which the test may kill."""
    async with cluster() as broker:
        yield functools.partial(_opened, dict.fromkeys(ROLES, fault_postgres), nursery, tmp_path, kafka=broker)


@pytest_asyncio.fixture
async def open_cluster_stage(
    local_kafka_here: None,  # noqa: ARG001 - likewise
    fault_postgres: EmbeddedPostgres,
    nursery: Path,
    tmp_path: Path,
) -> AsyncIterator[OpenStage]:
    """Opens a stage with its log on three brokers of its own, which the test may kill, freeze and restart."""
    async with cluster(brokers=3) as brokers:
        yield functools.partial(_opened, dict.fromkeys(ROLES, fault_postgres), nursery, tmp_path, kafka=brokers)


@pytest_asyncio.fixture
async def open_wide_kafka_stage(
    fault_postgres: EmbeddedPostgres, fault_kafka: KafkaCluster, nursery: Path, tmp_path: Path
) -> AsyncIterator[OpenStage]:
    """Opens a stage with its log on the shared broker; records and blobs, on servers of their own, may be stopped."""
    async with AsyncExitStack() as exits:
        own = {role: await exits.enter_async_context(one_server()) for role in ("records", "blobs")}
        servers = {"log": fault_postgres, **own}
        yield functools.partial(_opened, servers, nursery, tmp_path, kafka=fault_kafka)


@pytest.fixture(params=["postgres", "kafka"])
def open_wide_log_stage(request: pytest.FixtureRequest) -> OpenStage:
    """Opens a stage whose records and blobs may be stopped one by one, with its log on each kind in turn."""
    opener: OpenStage = request.getfixturevalue(
        "open_wide_kafka_stage" if request.param == "kafka" else "open_wide_stage"
    )
    return lambda options: opener(replace(options, log=request.param))


@asynccontextmanager
async def _opened(
    by_role: Mapping[str, EmbeddedPostgres],
    nursery: Path,
    folder: Path,
    options: StageOptions,
    *,
    kafka: KafkaCluster | None = None,
) -> AsyncGenerator[Stage]:
    servers = await Servers.prepared(by_role, kafka=kafka)
    try:
        async with Stage(folder=folder / "stage", nursery=nursery, servers=servers, options=options) as stage:
            yield stage
    finally:
        await servers.drop()
