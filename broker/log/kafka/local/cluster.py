"""A real Kafka in the life of one process: started, used, stopped, and gone."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from broker.log.kafka.local.errors import LocalKafkaError, last_lines
from broker.log.kafka.local.home import Home, persistent_home, sweep, temporary_home, write
from broker.log.kafka.local.java import find_java
from broker.log.kafka.local.libraries import usable_libraries
from broker.log.kafka.local.node import LocalBroker, bare_environment, wait_until
from broker.log.kafka.local.options import ClusterOptions
from broker.log.kafka.local.ports import Ports
from broker.log.kafka.local.properties import HOST, NodePorts, java_flags, properties, refuse_unfit, text
from broker.log.kafka.local.scram import scram_argument

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_LOG_SETTINGS = Path(__file__).with_name("log4j2.properties")
_HOLDER_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Programs:
    """What runs a broker."""

    java: Path
    libraries: Path

    def command(self, main: str, *words: str, flags: Sequence[str] = ()) -> list[str]:
        return [str(self.java), *flags, "-cp", f"{self.libraries}/*", main, *words]


class KafkaCluster:
    """Brokers on 127.0.0.1, each a controller too. What they hold is open to whoever is on this machine.

    It holds nothing that belongs to an event loop, so it may be used from several, one after another. On Linux the
    brokers end with the thread that started them.
    """

    def __init__(self, *, options: ClusterOptions, home: Home, programs: _Programs) -> None:
        self._options = options
        self._home = home
        self._programs = programs
        self._ports = Ports()
        self._closed = False
        self.brokers: tuple[LocalBroker, ...] = ()

    @classmethod
    async def start(cls, options: ClusterOptions | None = None) -> Self:
        """Makes the cluster if need be, starts its brokers, and returns once each answers and knows of all.

        Raises:
            LocalKafkaError: Java or the libraries are missing, the directory is held or unfit, or a broker does not
                start; the message has the end of its log.
            SettingsError: `settings` name one that is fixed here, or the security asked for lacks something.
        """
        options = options or ClusterOptions()
        refuse_unfit(options)
        await asyncio.to_thread(sweep)
        java = await asyncio.to_thread(find_java)
        libraries = await asyncio.to_thread(usable_libraries, java, options.libraries)
        home = await _home(options)
        cluster = cls(options=options, home=home, programs=_Programs(java=java, libraries=libraries))
        try:
            await cluster._start()
        except BaseException:
            await cluster.close()
            raise
        return cluster

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"KafkaCluster(root={str(self._home.root)!r}, brokers={list(self.brokers)})"

    @property
    def root(self) -> Path:
        """The home folder: one for each broker, with its data, settings and log."""
        return self._home.root

    @property
    def bootstrap(self) -> tuple[str, ...]:
        """Every broker, as clients reach it."""
        return tuple(one.address for one in self.brokers)

    @property
    def admin_bootstrap(self) -> tuple[str, ...]:
        """Every broker, where nobody has to log in and everything is allowed."""
        return tuple(f"{HOST}:{one.port_apart}" for one in self.brokers)

    @property
    def running(self) -> bool:
        """Whether every broker's process is there."""
        return bool(self.brokers) and all(one.running for one in self.brokers)

    async def stop(self) -> None:
        """Stops every broker; what was acknowledged is there when they are started again."""
        *followers, last = self.brokers
        await asyncio.gather(*(one.stop() for one in followers))
        if followers:
            await last.kill()  # with the majority gone nobody could let it go in good order
        else:
            await last.stop()

    async def kill(self) -> None:
        """SIGKILL to every broker."""
        await asyncio.gather(*(one.kill() for one in self.brokers))

    async def restart(self) -> None:
        """Stops the brokers that run, and starts all on the same ports and data."""
        if self._closed:
            raise LocalKafkaError(f"The cluster in {self.root} is closed: start another")
        await self.stop()
        await self._launch()

    async def close(self) -> None:
        """Stops the brokers, removes a temporary cluster, frees the directory. May be called again."""
        if self._closed:
            return
        self._closed = True
        try:
            await (self.kill() if self._home.temporary or not self.brokers else self.stop())
        finally:
            self._ports.release()
            await asyncio.to_thread(self._home.release)

    async def _start(self) -> None:
        count = self._options.brokers
        cluster_id = self._home.cluster(_random_id(), brokers=count)
        ports = [self._node_ports(index) for index in range(count)]
        self.brokers = tuple(self._node(node_id, ports) for node_id in range(1, count + 1))
        await asyncio.gather(*(asyncio.to_thread(self._format, one, cluster_id) for one in self.brokers))
        await self._launch()

    async def _launch(self) -> None:
        for one in self.brokers:
            one.launch()
        everyone = {one.node_id for one in self.brokers}
        await asyncio.gather(*(one.ready(everyone) for one in self.brokers))

    def _node_ports(self, index: int) -> NodePorts:
        first = self._options.port
        clients = self._ports.take(first + index if first else 0)
        apart = clients if self._options.security is None else self._ports.take()
        return NodePorts(clients=clients, controller=self._ports.take(), apart=apart)

    def _node(self, node_id: int, ports: Sequence[NodePorts]) -> LocalBroker:
        files = self._home.node(node_id)
        write(files.settings, text(properties(self._options, node_id, ports, files.data)))
        own = ports[node_id - 1]
        flags = [
            *java_flags(self._options, self._options.security),
            f"-Djava.io.tmpdir={files.scratch}",
            f"-Dlog4j2.configurationFile={_LOG_SETTINGS}",
        ]
        return LocalBroker(
            node_id=node_id,
            port=own.clients,
            port_apart=own.apart,
            command=self._programs.command("kafka.Kafka", str(files.settings), flags=flags),
            files=files,
            lock=self._home.lock,
            start_timeout_seconds=self._options.start_timeout_seconds,
            stop_timeout_seconds=self._options.stop_timeout_seconds,
        )

    def _format(self, broker: LocalBroker, cluster_id: str) -> None:
        """Makes the broker's data folder unless it was made whole before."""
        if (broker.files.data / "meta.properties").exists():
            return
        shutil.rmtree(broker.files.data, ignore_errors=True)
        words = ["format", "--cluster-id", cluster_id, "--config", str(broker.files.settings)]
        security = self._options.security
        for login in security.logins if security is not None else ():
            words += ["--add-scram", scram_argument(login)]
        flags = ("-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={_LOG_SETTINGS}")
        outcome = subprocess.run(  # noqa: S603 - fixed words and paths of ours, no shell
            self._programs.command("kafka.tools.StorageTool", *words, flags=flags),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=bare_environment(),
            umask=0o077,
            text=True,
            errors="replace",
            check=False,
        )
        if outcome.returncode != 0:
            raise LocalKafkaError(f"Kafka's formatter failed in {broker.files.data}:\n{last_lines(outcome.stdout)}")


def _random_id() -> str:
    """A cluster's id as Kafka writes it: 16 bytes in base64url, which must not begin with a dash."""
    while True:
        found = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not found.startswith("-"):
            return found


async def _home(options: ClusterOptions) -> Home:
    """The cluster's folder; brokers whose owner was killed may need a moment to end and free it."""
    if options.directory is None:
        return temporary_home()
    directory = options.directory
    found: list[Home] = []

    def held() -> bool:
        home = persistent_home(directory)
        found.extend([home] if home else [])
        return bool(found)

    if not await wait_until(held, timeout_seconds=_HOLDER_TIMEOUT_SECONDS):
        raise LocalKafkaError(f"Another cluster runs in {directory}: stop it, or name another directory")
    return found[0]
