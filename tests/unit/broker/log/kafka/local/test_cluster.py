"""The local cluster: real, this machine's own, breakable, and gone without a trace."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import pytest_asyncio

from broker.core.errors import SettingsError
from broker.log.kafka.local import ClusterOptions, ClusterSecurity, KafkaCluster, LocalBroker, LocalKafkaError
from broker.log.kafka.local.home import sweep, temporary_home, try_lock
from broker.log.kafka.local.node import wait_until
from broker.log.kafka.local.ports import Ports
from broker.log.kafka.local.wire import known_brokers
from tests.kafka_clients import admin_client, make_topic, read, send
from tests.kafka_servers import private_kafka

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.usefixtures("local_kafka_here")

REPOSITORY = Path(__file__).parents[6]

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs a request that only Linux grants")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[KafkaCluster]:
    """One broker for the tests that only look; those that break it make their own."""
    async with private_kafka() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="custody-test-", dir="/var/tmp") as path:
        yield Path(path)


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock, which the last thread of the last process frees."""
    lock = try_lock(path)
    if lock is not None:
        os.close(lock)
    return lock is not None


def gone(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def leader_of(cluster: KafkaCluster, topic: str) -> LocalBroker:
    """The broker that leads partition 0, as the others see it."""
    async with admin_client(cluster.bootstrap) as admin:
        (found,) = await admin.describe_topics([topic])
    leader: int = found["partitions"][0]["leader"]
    return cluster.brokers[leader - 1]


async def test_it_takes_entries_and_gives_them_back(cluster: KafkaCluster) -> None:
    await make_topic(cluster.bootstrap, "taken")
    await send(cluster.bootstrap, "taken", b"one", b"two")
    assert await read(cluster.bootstrap, "taken") == [b"one", b"two"]


async def test_it_makes_no_topic_that_nobody_created(cluster: KafkaCluster) -> None:
    async with admin_client(cluster.bootstrap) as admin:
        await admin.describe_topics(["never-made"])
        assert "never-made" not in await admin.list_topics()


async def test_it_listens_on_loopback_alone(cluster: KafkaCluster) -> None:
    listening = [
        one.laddr
        for one in psutil.Process(cluster.brokers[0].process_id).net_connections()
        if one.status == psutil.CONN_LISTEN
    ]
    assert {one.port for one in listening} >= {cluster.brokers[0].port}
    assert {one.ip.removeprefix("::ffff:") for one in listening} == {"127.0.0.1"}


async def test_nobody_else_may_look_into_its_folder(cluster: KafkaCluster) -> None:
    assert stat.S_IMODE(cluster.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(cluster.brokers[0].log.stat().st_mode) == 0o600
    assert stat.S_IMODE((cluster.root / "broker-1" / "server.properties").stat().st_mode) == 0o600


async def test_a_broker_sees_nothing_of_the_starter_s_environment(cluster: KafkaCluster) -> None:
    seen = psutil.Process(cluster.brokers[0].process_id).environ()
    assert set(seen) <= {"PATH", "LC_ALL", "TZ"}


async def test_its_memory_is_bounded(cluster: KafkaCluster) -> None:
    words = psutil.Process(cluster.brokers[0].process_id).cmdline()
    assert "-Xmx256m" in words


async def test_killed_and_restarted_it_has_what_it_acknowledged_and_its_address() -> None:
    async with private_kafka() as cluster:
        (broker,) = cluster.brokers
        await make_topic(cluster.bootstrap, "kept")
        await send(cluster.bootstrap, "kept", b"one")
        before = broker.process_id
        await broker.kill()
        assert not broker.running
        assert gone(before)
        assert await known_brokers("127.0.0.1", broker.port) == frozenset()
        await broker.restart()
        assert broker.process_id != before
        assert await read(cluster.bootstrap, "kept") == [b"one"]
        await cluster.restart()
        assert await read(cluster.bootstrap, "kept") == [b"one"]


async def test_of_three_brokers_the_others_carry_on_without_the_leader() -> None:
    async with private_kafka(ClusterOptions(brokers=3)) as cluster:
        assert len(cluster.bootstrap) == 3
        await make_topic(cluster.bootstrap, "shared", replicas=3)
        await send(cluster.bootstrap, "shared", b"one")
        leader = await leader_of(cluster, "shared")
        await leader.kill()
        await send(cluster.bootstrap, "shared", b"two")
        assert (await leader_of(cluster, "shared")).node_id != leader.node_id
        await leader.restart()
        assert await read(cluster.bootstrap, "shared") == [b"one", b"two"]


async def test_a_frozen_broker_answers_nothing_until_it_is_thawed() -> None:
    async with private_kafka() as cluster:
        (broker,) = cluster.brokers
        broker.freeze()
        async with asyncio.timeout(60):
            while await known_brokers("127.0.0.1", broker.port):
                pass  # its threads stop one after another
        assert broker.running
        broker.thaw()
        await broker.ready({1})
        broker.freeze()
        await broker.kill()
        assert not broker.running


async def test_closing_leaves_no_process_and_no_file() -> None:
    async with private_kafka() as cluster:
        root, process_id = cluster.root, cluster.brokers[0].process_id
    assert not root.exists()
    assert gone(process_id)
    await cluster.close()
    with pytest.raises(LocalKafkaError, match="is closed"):
        await cluster.restart()


async def test_a_named_directory_is_found_again_on_other_ports(folder: Path) -> None:
    options = ClusterOptions(directory=folder / "kafka")
    async with private_kafka(options) as cluster:
        first = cluster.bootstrap
        await make_topic(cluster.bootstrap, "kept")
        await send(cluster.bootstrap, "kept", b"one")
        with pytest.raises(LocalKafkaError, match="Another cluster runs in"):
            await KafkaCluster.start(options)
    async with private_kafka(options) as cluster:
        assert set(cluster.bootstrap).isdisjoint(first)
        assert await read(cluster.bootstrap, "kept") == [b"one"]
    with pytest.raises(LocalKafkaError, match="was made for 1 brokers, not 3"):
        await KafkaCluster.start(replace(options, brokers=3))


async def test_a_directory_with_other_files_is_refused(folder: Path) -> None:
    (folder / "letter.txt").write_text("not Kafka's")
    with pytest.raises(LocalKafkaError, match="not a cluster of Custody's"):
        await KafkaCluster.start(ClusterOptions(directory=folder))


async def test_a_broker_that_can_not_start_says_why() -> None:
    options = ClusterOptions(settings={"log.retention.check.interval.ms": "soon"})
    with pytest.raises(LocalKafkaError, match=r"(?s)ended as it started.*soon|formatter failed.*soon"):
        async with private_kafka(options):
            pass


async def test_settings_reach_the_broker(cluster: KafkaCluster) -> None:
    settings = (cluster.root / "broker-1" / "server.properties").read_text()
    assert "min.insync.replicas=1\n" in settings
    options = ClusterOptions(settings={"listeners": "PLAINTEXT://0.0.0.0:9092"}, brokers=0)
    with pytest.raises(SettingsError) as refused:
        await KafkaCluster.start(options)
    assert refused.value.findings == [
        "settings.listeners: fixed for a local cluster; leave it out",
        "brokers: must be 1 or more; for example 3",
    ]


@pytest.mark.parametrize(
    ("security", "finding"),
    [
        (ClusterSecurity(protocol="sasl_plaintext"), "security.mechanisms"),
        (ClusterSecurity(mechanisms=("oauthbearer",)), "security.mechanisms"),
        (ClusterSecurity(protocol="ssl"), "security.keystore_file"),
        (ClusterSecurity(client_ca_file=Path("ca.pem")), "security.client_ca_file"),
        (ClusterSecurity(acls=True), "security.acls"),
    ],
)
async def test_security_that_would_not_hold_is_refused(security: ClusterSecurity, finding: str) -> None:
    with pytest.raises(SettingsError) as refused:
        await KafkaCluster.start(ClusterOptions(security=security))
    assert [one.split(":")[0] for one in refused.value.findings] == [finding]


def test_a_port_is_held_for_a_broker_that_is_not_there_and_for_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    ports, others = Ports(), Ports()
    port = ports.take()
    monkeypatch.setattr("broker.log.kafka.local.ports._PORTS", range(port, port + 1))
    try:
        with pytest.raises(LocalKafkaError, match="No free port"):
            others.take()
        with socket.socket() as caller, pytest.raises(ConnectionRefusedError):
            caller.connect(("127.0.0.1", port))
        with socket.socket() as server:  # as Java does
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", port))
            server.listen()
            with pytest.raises(LocalKafkaError, match=f"Port {port} on 127.0.0.1 is taken"):
                others.take(port)
    finally:
        ports.release()
    assert others.take(port) == port
    others.release()


def test_an_abandoned_folder_is_swept_and_a_used_one_is_not(folder: Path) -> None:
    used, abandoned = temporary_home(folder), temporary_home(folder)
    os.close(abandoned.lock)
    assert sweep(folder) == [abandoned.root]
    assert used.root.exists()
    used.release()
    assert not used.root.exists()


@only_linux
async def test_brokers_end_with_a_starter_that_was_killed(folder: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from broker.log.kafka.local import ClusterOptions, KafkaCluster\n"
        "async def run() -> None:\n"
        "    cluster = await KafkaCluster.start(ClusterOptions(directory=Path(sys.argv[1])))\n"
        "    print(cluster.brokers[0].process_id, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(run())\n"
    )
    words = [sys.executable, "-c", script, str(folder / "kafka")]
    starter = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True)
    assert starter.stdout is not None
    process_id = int(await asyncio.to_thread(starter.stdout.readline))
    assert try_lock(folder / "kafka" / "lock") is None
    starter.kill()
    starter.wait()
    starter.stdout.close()
    assert await wait_until(lambda: gone(process_id), timeout_seconds=20)
    assert await wait_until(lambda: is_free(folder / "kafka" / "lock"), timeout_seconds=20)


def test_the_command_prints_the_address_and_runs_until_it_is_told_to_end(folder: Path) -> None:
    words = [sys.executable, "-m", "broker.log.kafka.local", "--port", "0", "--directory", str(folder / "kafka")]
    running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY, text=True)
    assert running.stdout is not None
    address = running.stdout.readline().strip()
    host, _, port = address.partition(":")
    assert asyncio.run(known_brokers(host, int(port))) == {1}
    running.send_signal(signal.SIGINT)
    rest, said = running.communicate(timeout=60)
    assert (running.returncode, rest) == (0, "")
    assert "Ctrl-C ends it" in said


def test_the_command_says_in_a_line_what_is_wrong() -> None:
    words = [sys.executable, "-m", "broker.log.kafka.local", "--brokers", "0"]
    outcome = subprocess.run(words, capture_output=True, cwd=REPOSITORY, text=True, check=False)
    assert outcome.returncode == 1
    assert "brokers: must be 1 or more" in outcome.stderr
    assert "Traceback" not in outcome.stderr
