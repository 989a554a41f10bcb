"""Programs in Java, Kafka's own first: fetched once from Maven Central, checked by Maven, and kept for this account."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from broker.log.kafka.local.errors import LocalKafkaError, last_lines
from broker.log.kafka.local.java import home_of

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARIES_VARIABLE = "CUSTODY_KAFKA_LIBRARIES"
KAFKA_VERSION = "4.3.1"
_FETCH_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """What Maven is asked for.

    Attributes:
        whose: in messages, such as "Kafka's".
        name: of their folder in the cache.
        pom: what names them.
        main_jar: without this one a folder has not got them.
        variable: of the environment; names a folder that has them.
    """

    whose: str
    name: str
    pom: Path
    main_jar: str
    variable: str


KAFKA = Artifacts(
    whose="Kafka's",
    name=f"kafka-{KAFKA_VERSION}",
    pom=Path(__file__).with_name("pom.xml"),
    main_jar=f"kafka_2.13-{KAFKA_VERSION}.jar",
    variable=LIBRARIES_VARIABLE,
)


def usable_libraries(java: Path, folder: Path | None = None, *, artifacts: Artifacts = KAFKA) -> Path:
    """The folder of these jars: `folder`, or the cache's; fetched if it is not there yet.

    May be called by several processes at once: one fetches, and the others wait for it. Raises LocalKafkaError.
    """
    target = folder or _default_folder(artifacts)
    if not target.exists():
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(target.with_name(f".{target.name}.lock")):
            if not target.exists():
                _fetch(artifacts, target, java)
    if not (target / artifacts.main_jar).is_file():
        raise LocalKafkaError(f"{target} has no {artifacts.main_jar}: remove the folder, and it is fetched anew")
    return target


def _default_folder(artifacts: Artifacts) -> Path:
    """By the digest of what is asked for, so that two releases of Custody never share a mixture."""
    if given := os.environ.get(artifacts.variable):
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "custody" / f"{artifacts.name}-{hashlib.sha256(artifacts.pom.read_bytes()).hexdigest()[:8]}"


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time; the kernel frees the lock of one that was killed."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fetch(artifacts: Artifacts, target: Path, java: Path) -> None:
    """Fetches beside the final place: what was cut off leaves nothing that looks whole."""
    maven = shutil.which("mvn")
    if maven is None:
        raise LocalKafkaError(
            f"{artifacts.whose} libraries are not in {target}, and there is no Maven to fetch them: install it "
            f"(Debian: apt install maven), or name a folder that has them by {artifacts.variable}"
        )
    prefix = f".{target.name}."
    for left_over in target.parent.glob(f"{prefix}*.new"):
        shutil.rmtree(left_over, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=prefix, suffix=".new", dir=target.parent))
    try:
        _run_maven(artifacts, maven, unfinished, java)
        (unfinished / "libs").rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _environment(java: Path) -> dict[str, str]:
    """The caller's, for its proxy and its mirror. Java takes a home from the accounts' list, whatever HOME says."""
    home = str(Path.home())
    options = os.environ.get("MAVEN_OPTS", "")
    own = {} if " " in home else {"MAVEN_OPTS": f"-Duser.home={home} {options}".strip()}
    return {**os.environ, **own, "JAVA_HOME": str(home_of(java))}


def _run_maven(artifacts: Artifacts, maven: str, folder: Path, java: Path) -> None:
    pom = shutil.copy(artifacts.pom, folder / "pom.xml")  # Maven writes beside it
    words = ["-q", "-B", "--strict-checksums", "-f", str(pom), "dependency:copy-dependencies"]
    try:
        outcome = subprocess.run(  # noqa: S603 - fixed words and paths of ours, no shell
            [maven, *words, f"-DoutputDirectory={folder / 'libs'}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(java),
            timeout=_FETCH_SECONDS,
            text=True,
            errors="replace",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        what = f"Maven did not fetch {artifacts.whose} libraries ({type(error).__name__}): try again"
        raise LocalKafkaError(what) from None
    if outcome.returncode != 0 or not (folder / "libs" / artifacts.main_jar).is_file():
        raise LocalKafkaError(f"Maven could not fetch {artifacts.whose} libraries:\n{last_lines(outcome.stdout)}")
