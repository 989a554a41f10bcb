"""Fixtures and options for the whole tree of tests.

`postgres_server`, `mongo_server`, `s3_server` and `kafka_server` are one server each for the run; `database` and
`mongo_database` are a fresh database on the first and the second.
`seed` differs for each test and run and is printed; `fault_seed` runs a test once for each of a fixed series.
At the end a run says how many tests of a suite ran on which implementation (`tests.tallies`).
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import pytest_asyncio

from tests.kafka_servers import SharedKafka, refuse_without_kafka, refuse_without_local_kafka, shared_kafka
from tests.mongo_servers import SharedMongo, refuse_without_mongo, shared_mongo
from tests.s3_servers import SharedS3, refuse_without_s3, shared_s3
from tests.servers import SharedPostgres, shared_postgres
from tests.tallies import Belongs, On, belongs, tallied, uneven

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

SEED_VARIABLE = "CUSTODY_TEST_SEED"
_RUN_SEED = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().getrandbits(32))
_BELONGS = "belongs"
"""The property of a test's report that says where it belongs: so it reaches who sums up, from whatever process."""
_FAULT_TESTS = Path(__file__).with_name("fault")

hypothesis.settings.register_profile("laptop", deadline=None, print_blob=True)
if not os.environ.get("CI"):  # there hypothesis' own profile holds: the same examples every time
    hypothesis.settings.load_profile("laptop")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("custody")
    group.addoption("--fault-seeds", type=int, default=2, help="seeds for each fault test (default: 2)")
    group.addoption(
        "--progress",
        type=Path,
        help="leave out the tests named in this file, and name there each that passes: resumes a long run",
    )


def pytest_report_header() -> str:
    return f"seed: {_RUN_SEED} ({SEED_VARIABLE}={_RUN_SEED} repeats this run)"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault_seed" in metafunc.fixturenames:
        seeds = range(1, metafunc.config.getoption("--fault-seeds") + 1)
        metafunc.parametrize("fault_seed", seeds, ids=[f"seed{seed}" for seed in seeds])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_FAULT_TESTS):
            item.add_marker("fault")
    progress: Path | None = config.getoption("--progress")
    if progress is not None and progress.exists():
        passed = set(progress.read_text().splitlines())
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in passed])
        items[:] = [item for item in items if item.nodeid not in passed]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    progress: Path | None = item.config.getoption("--progress")
    if progress is not None and report.when == "call" and report.passed:
        with progress.open("a") as file:
            file.write(f"{item.nodeid}\n")
    if (report.when == "call" or report.skipped) and (where := _belongs(item)) is not None:
        report.user_properties.append((_BELONGS, f"{where.suite}/{where.on}"))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [one for told in terminalreporter.stats.values() for one in told if isinstance(one, pytest.TestReport)]
    tallies = tallied(
        (Belongs(suite=suite, on=On(on)), report.skipped)
        for report in reports
        for name, where in report.user_properties
        if name == _BELONGS
        for suite, _, on in [str(where).rpartition("/")]
    )
    for suite, tally in tallies.items():
        terminalreporter.write_line(f"{suite}: {tally}")
    for suite in uneven(tallies):
        terminalreporter.write_line(f"{suite}: NOT as many cases on one implementation as on another", yellow=True)


def _belongs(item: pytest.Item) -> Belongs | None:
    """Which suite a test belongs to, and what it ran on."""
    callspec, own = getattr(item, "callspec", None), getattr(item, "cls", None) or object
    is_inherited = getattr(item, "originalname", item.name) not in vars(own)
    return belongs(
        bases=[one.__name__ for one in type.mro(own)] if is_inherited else [],
        is_fault_test=item.path.is_relative_to(_FAULT_TESTS),
        fixtures=getattr(item, "fixturenames", ()),
        parameters=() if callspec is None else callspec.params.values(),
    )


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number of this test's own, the same again for the same run seed; shown if the test fails."""
    value = random.Random(f"{_RUN_SEED}/{request.node.nodeid}").getrandbits(32)
    print(f"seed {value}, from {SEED_VARIABLE}={_RUN_SEED}")  # noqa: T201 - pytest shows it with a failure
    return value


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server() -> AsyncIterator[SharedPostgres]:
    """One real Postgres for the run, not to be stopped: private_postgres() makes others."""
    async with shared_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def kafka_here() -> None:
    """Skips, or fails in CI, where there is no Kafka to be had."""
    refuse_without_kafka()


@pytest.fixture(scope="session")
def local_kafka_here() -> None:
    """The same, for tests that stop and kill brokers."""
    refuse_without_local_kafka()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka_server(kafka_here: None) -> AsyncIterator[SharedKafka]:  # noqa: ARG001 - it skips before a loop is made
    """One real Kafka for the run, not to be stopped: private_kafka() makes others."""
    async with shared_kafka() as server:
        yield server


@pytest.fixture(scope="session")
def s3_here() -> None:
    """Skips, or fails in CI, where there is no S3 to be had."""
    refuse_without_s3()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def s3_server(s3_here: None) -> AsyncIterator[SharedS3]:  # noqa: ARG001 - it skips before a loop is made
    """One real S3 server for the run, not to be stopped: private_s3() makes others."""
    async with shared_s3() as server:
        yield server


@pytest_asyncio.fixture
async def database(postgres_server: SharedPostgres) -> AsyncIterator[str]:
    """The superuser's DSN of a fresh, empty database, dropped afterwards."""
    dsn = await postgres_server.create_database()
    yield dsn
    await postgres_server.drop_database(dsn)


@pytest.fixture(scope="session")
def mongo_here() -> None:
    """Skips, or fails in CI, where there is no MongoDB to be had."""
    refuse_without_mongo()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mongo_server(mongo_here: None) -> AsyncIterator[SharedMongo]:  # noqa: ARG001 - it skips before a loop is made
    """One real replica set for the run, not to be stopped: private_mongo() makes others."""
    async with shared_mongo() as server:
        yield server


@pytest_asyncio.fixture
async def mongo_database(mongo_server: SharedMongo) -> AsyncIterator[str]:
    """The superuser's URI of a fresh, empty database, dropped afterwards."""
    async with mongo_server.fresh_database() as uri:
        yield uri
