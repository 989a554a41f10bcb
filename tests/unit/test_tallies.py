"""What a run says at its end about what its tests ran on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tallies import FAULT_TESTS, Belongs, On, belongs, tallied, uneven

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

pytest_plugins = ["pytester"]

_CONFTEST = "from tests.conftest import pytest_runtest_makereport, pytest_terminal_summary, pytest_addoption"
_TESTS = """
import pytest

class LogContract:
    def test_one(self, logs): pass
    def test_two(self, logs): assert logs != "postgres"

class TestPostgres(LogContract):
    @pytest.fixture
    def logs(self): return "postgres"

class TestKafka(LogContract):
    @pytest.fixture
    def kafka_server(self): pytest.skip("no Java")
    @pytest.fixture
    def logs(self, kafka_server): return "kafka"
    def test_of_kafka_alone(self): pass

class ReplayCases:
    def test_one(self, logs): pass

class TestReplay(ReplayCases):
    @pytest.fixture(params=["postgres", "kafka"])
    def logs(self, request): return request.param

class BlobStoreContract:
    def test_one(self): pass

class TestBlobs(BlobStoreContract): pass

class KeepContract:
    def test_one(self, bench): pass
    @pytest.mark.parametrize("number", [1, 2])
    def test_two(self, bench, number): pass

class TestMemoryKeeps(KeepContract):
    @pytest.fixture
    def bench(self): pass

class TestPostgresKeeps(KeepContract):
    @pytest.fixture
    def bench(self): pass

class TestMongoKeeps(KeepContract):
    @pytest.fixture
    def mongo_server(self): pass
    @pytest.fixture(params=["pymongo", "motor"])
    def bench(self, mongo_server, request): pass

def test_alone(): pass
"""


_WITHOUT_ONE = """
class TestPostgresKeeps(KeepContract):
    test_one = None
"""


@pytest.mark.parametrize(
    ("bases", "fixtures", "parameters", "expected"),
    [
        (["TestKafkaLog", "EventLogContract", "EntryCases"], ["kafka_server"], [], ("event log contract", On.KAFKA)),
        (["TestPostgresLog", "EventLogContract", "EntryCases"], ["database"], [], ("event log contract", On.POSTGRES)),
        (["TestReplayOnKafka", "ReplayCases"], ["kafka_server"], [], ("replay cases", On.KAFKA)),
        (["TestReplay", "ReplayCases"], ["logs"], ["kafka"], ("replay cases", On.KAFKA)),
        (["TestReplay", "ReplayCases"], ["logs"], ["postgres"], ("replay cases", On.POSTGRES)),
        (["TestMemoryKeeps", "KeepContract"], ["bench"], [], ("keep contract", On.MEMORY)),
        (["TestPostgresKeeps", "KeepContract"], ["bench"], [], ("keep contract", On.POSTGRES)),
        (["TestMongoKeeps", "KeepContract"], ["bench", "mongo_server"], ["pymongo"], ("keep contract", On.MONGO)),
        (["TestMongoKeeps", "KeepContract"], ["bench", "mongo_server"], ["motor", 3], ("keep contract", On.MOTOR)),
        (["TestMotorKeeps", "KeepContract"], ["motor_bench", "mongo_server"], [], ("keep contract", On.MOTOR)),
        (["TestMongoKeeps", "KeepContract"], ["mongo_server"], [], ("keep contract", On.MONGO)),
        (["TestS3Blobs", "BlobContract"], ["bench", "s3_server"], [0, OSError], ("blob contract", On.S3)),
        (["TestMemoryBlobs", "BlobContract"], ["bench"], [], ("blob contract", On.MEMORY)),
        (["TestDualBlobs", "BlobContract"], ["bench"], [], ("blob contract", On.TWO)),
        (["TestMemoryBlobs", "BlobContract"], ["windows3"], [], ("blob contract", On.MEMORY)),
        (["TestKeeps", "KeepContract"], ["bench"], ["memory"], ("keep contract", On.MEMORY)),
        (["TestSomething"], ["kafka_server"], [], None),
        (["TestContract"], ["kafka_server"], [], None),
        ([], [], [], None),
    ],
)
def test_a_suite_is_the_class_that_its_test_classes_share(
    bases: Sequence[str], fixtures: Collection[str], parameters: Sequence[object], expected: tuple[str, On] | None
) -> None:
    found = belongs(bases=[*bases, "object"], is_fault_test=False, fixtures=fixtures, parameters=parameters)
    assert (None if found is None else (found.suite, found.on)) == expected


@pytest.mark.parametrize(
    ("fixtures", "parameters", "on"),
    [
        (["open_stage", "fault_postgres"], [1], On.POSTGRES),
        (["open_kafka_stage", "fault_kafka"], [1], On.KAFKA),
        (["open_cluster_stage"], [2], On.KAFKA),
        (["open_either_stage", "fault_log"], ["kafka", 1], On.KAFKA),
        (["open_either_stage", "fault_log"], ["postgres", 1], On.POSTGRES),
    ],
)
def test_a_fault_tests_log_is_told_from_its_stage(
    fixtures: Collection[str], parameters: Sequence[object], on: On
) -> None:
    found = belongs(bases=[], is_fault_test=True, fixtures=fixtures, parameters=parameters)
    assert found == Belongs(suite=FAULT_TESTS, on=on)


def test_what_was_skipped_is_counted_apart_and_suites_of_one_implementation_are_left_out() -> None:
    suites = {
        "a": [(On.POSTGRES, False)] * 3 + [(On.KAFKA, True)] * 2,
        "b": [(On.POSTGRES, False)],
        "c": [(On.POSTGRES, False), (On.KAFKA, False), (On.POSTGRES, True)],
    }
    found = tallied((Belongs(suite=suite, on=on), skipped) for suite, all_ in suites.items() for on, skipped in all_)
    assert {suite: str(tally) for suite, tally in found.items()} == {
        "a": "3 on Postgres, 0 on Kafka (2 skipped)",
        "c": "1 on Postgres (1 skipped), 1 on Kafka",
    }


def test_a_suite_with_more_cases_on_one_implementation_is_named() -> None:
    even = [(On.MEMORY, False)] * 2 + [(On.MONGO, False), (On.MONGO, True)] + [(On.MOTOR, True)] * 2
    suites = {"even": even, "uneven": even[1:], FAULT_TESTS: even[1:]}
    tallies = tallied((Belongs(suite=suite, on=on), skipped) for suite, all_ in suites.items() for on, skipped in all_)
    assert set(tallies) == set(suites)
    assert uneven(tallies) == ["uneven"]


def test_a_run_ends_with_the_tallies(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(_CONFTEST)
    pytester.makepyfile(test_it=_TESTS)
    found = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-W", "ignore")
    found.stdout.fnmatch_lines(
        [
            "keep contract: 3 on memory, 3 on Postgres, 3 on MongoDB (PyMongo), 3 on MongoDB (Motor)",
            "log contract: 2 on Postgres, 0 on Kafka (2 skipped)",
            "replay cases: 1 on Postgres, 1 on Kafka",
        ]
    )
    assert "blob store" not in found.stdout.str()
    assert "NOT as many" not in found.stdout.str()


def test_a_run_says_where_a_case_is_missing_and_does_not_fail_for_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(_CONFTEST)
    tests = _TESTS.replace("class TestPostgresKeeps(KeepContract):", _WITHOUT_ONE)
    pytester.makepyfile(test_it=tests.replace('assert logs != "postgres"', "pass"))
    found = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-W", "ignore")
    found.stdout.fnmatch_lines(["keep contract: 3 on memory, 2 on Postgres, *", "keep contract: NOT as many cases *"])
    assert found.ret == 0
