"""Kafka Connect in one JVM of its own: started once, given a connector and relieved of it as often as is wanted."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import aiohttp

from broker.log.kafka import local
from broker.log.kafka.local.errors import LocalKafkaError, last_lines
from broker.log.kafka.local.java import find_java
from broker.log.kafka.local.libraries import Artifacts, usable_libraries
from broker.log.kafka.local.node import bare_environment
from broker.log.kafka.local.ports import Ports
from broker.log.kafka.local.properties import HOST, text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

DEBEZIUM_VERSION, MONGODB_VERSION = "3.5.0.Final", "2.0.1"
ARTIFACTS = Artifacts(
    whose="Kafka Connect's",
    name="peers",
    pom=Path(__file__).with_name("pom.xml"),
    main_jar=f"debezium-connector-jdbc-{DEBEZIUM_VERSION}.jar",
    variable="BENCH_PEERS_LIBRARIES",
)
_LOCAL = Path(local.__file__).parent
_JAVA_FLAGS = (
    # As Kafka's own scripts start Connect. Source: bin/connect-standalone.sh and bin/kafka-run-class.sh of Kafka 4.3.1
    "-Xms256M",
    "-Xmx2G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
)
_START_SECONDS = 120.0
_END_SECONDS = 30.0
_POLL_SECONDS = 0.1
_LONGEST_LINE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """A JVM that answers. `start_seconds`: what that took."""

    process: asyncio.subprocess.Process
    session: aiohttp.ClientSession
    start_seconds: float

    @asynccontextmanager
    async def connector(self, name: str, settings: Mapping[str, str]) -> AsyncGenerator[None]:
        """A connector until the block is left. Its group is `group_of(name)`."""
        async with self.session.put(f"/connectors/{name}/config", json=dict(settings)) as answer:
            if not answer.ok:
                raise LocalKafkaError(f"Connect refuses the connector {name}: {await answer.text()}")
        try:
            yield
        finally:
            await self.session.delete(f"/connectors/{name}")

    async def check(self, name: str) -> None:
        """Raises LocalKafkaError with the reason, if a task of the connector has failed."""
        async with self.session.get(f"/connectors/{name}/status") as answer:
            status: Mapping[str, Any] = await answer.json()
        for one in (status["connector"], *status["tasks"]):
            if one["state"] == "FAILED":
                reasons = "\n".join(line[:_LONGEST_LINE] for line in one["trace"].splitlines())
                raise LocalKafkaError(f"The connector {name} has failed:\n{last_lines(reasons)}")


def group_of(connector: str) -> str:
    """The consumer group of a sink."""
    return f"connect-{connector}"


async def fetched() -> None:
    """Sees to it that Java and the libraries are there. Raises LocalKafkaError."""
    await asyncio.to_thread(_programs)


@asynccontextmanager
async def connect(bootstrap: str) -> AsyncGenerator[Connect]:
    """A JVM until the block is left. Raises LocalKafkaError with the end of its log, if it does not come to answer."""
    ports = Ports()
    with tempfile.TemporaryDirectory(prefix="custody-connect-") as found:
        folder, port = Path(found), ports.take()
        settings = folder / "worker.properties"
        settings.write_text(text(_worker(bootstrap, port, folder)), encoding="utf-8")
        begun = perf_counter()
        process = await _launched(settings, folder / "connect.log")
        try:
            async with aiohttp.ClientSession(f"http://{HOST}:{port}") as session:
                await _answers(process, session, folder / "connect.log")
                yield Connect(process=process, session=session, start_seconds=perf_counter() - begun)
        finally:
            await _ended(process)
            ports.release()


def _worker(bootstrap: str, port: int, folder: Path) -> dict[str, str]:
    """Entries are handed on as they are: keys and headers as text, values as bytes."""
    return {
        "bootstrap.servers": bootstrap,
        "listeners": f"http://{HOST}:{port}",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "header.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
        "offset.storage.file.filename": str(folder / "offsets"),
    }


def _programs() -> tuple[Path, Path]:
    java = find_java()
    return java, usable_libraries(java, artifacts=ARTIFACTS)


async def _launched(settings: Path, log: Path) -> asyncio.subprocess.Process:
    java, libraries = await asyncio.to_thread(_programs)
    flags = [*_JAVA_FLAGS, f"-Dlog4j2.configurationFile={_LOCAL / 'log4j2.properties'}"]
    main = "org.apache.kafka.connect.cli.ConnectStandalone"
    with log.open("wb") as said:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_LOCAL / "launch.py"), str(os.getpid())),
            *(str(java), *flags, "-cp", f"{libraries}/*", main, str(settings)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=bare_environment(),
            start_new_session=True,  # Ctrl-C at the terminal is for the benchmark, which ends it last
        )


async def _answers(process: asyncio.subprocess.Process, session: aiohttp.ClientSession, log: Path) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _START_SECONDS
    while process.returncode is None and loop.time() < deadline:
        try:
            async with session.get("/connectors") as answer:
                if answer.ok:
                    return
        except aiohttp.ClientConnectionError:
            pass
        await asyncio.sleep(_POLL_SECONDS)
    raise LocalKafkaError(f"Kafka Connect did not come to answer; the end of its log:\n{_said(log)}")


def _said(log: Path) -> str:
    return last_lines(log.read_text(encoding="utf-8", errors="replace"))


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _END_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
