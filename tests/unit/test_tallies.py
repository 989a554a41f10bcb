"""What a run says at its end about the log its tests ran on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tallies import FAULT_TESTS, Belongs, Log, belongs, tallied

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

def test_alone(): pass
"""


@pytest.mark.parametrize(
    ("bases", "fixtures", "parameters", "expected"),
    [
        (["TestKafkaLog", "EventLogContract", "EntryCases"], ["kafka_server"], [], ("event log contract", Log.KAFKA)),
        (["TestPostgresLog", "EventLogContract", "EntryCases"], ["database"], [], ("event log contract", Log.POSTGRES)),
        (["TestReplayOnKafka", "ReplayCases"], ["kafka_server"], [], ("replay cases", Log.KAFKA)),
        (["TestReplay", "ReplayCases"], ["logs"], ["kafka"], ("replay cases", Log.KAFKA)),
        (["TestReplay", "ReplayCases"], ["logs"], ["postgres"], ("replay cases", Log.POSTGRES)),
        (["TestSomething"], ["kafka_server"], [], None),
        (["TestContract"], ["kafka_server"], [], None),
        ([], [], [], None),
    ],
)
def test_a_suite_is_the_class_that_its_test_classes_share(
    bases: Sequence[str], fixtures: Collection[str], parameters: Sequence[object], expected: tuple[str, Log] | None
) -> None:
    found = belongs(bases=[*bases, "object"], is_fault_test=False, fixtures=fixtures, parameters=parameters)
    assert (None if found is None else (found.suite, found.log)) == expected


@pytest.mark.parametrize(
    ("fixtures", "parameters", "log"),
    [
        (["open_stage", "fault_postgres"], [1], Log.POSTGRES),
        (["open_kafka_stage", "fault_kafka"], [1], Log.KAFKA),
        (["open_cluster_stage"], [2], Log.KAFKA),
        (["open_either_stage", "fault_log"], ["kafka", 1], Log.KAFKA),
        (["open_either_stage", "fault_log"], ["postgres", 1], Log.POSTGRES),
    ],
)
def test_a_fault_tests_log_is_told_from_its_stage(
    fixtures: Collection[str], parameters: Sequence[object], log: Log
) -> None:
    found = belongs(bases=[], is_fault_test=True, fixtures=fixtures, parameters=parameters)
    assert found == Belongs(suite=FAULT_TESTS, log=log)


def test_what_was_skipped_is_counted_apart_and_suites_without_kafka_are_left_out() -> None:
    suites = {
        "a": [(Log.POSTGRES, False)] * 3 + [(Log.KAFKA, True)] * 2,
        "b": [(Log.POSTGRES, False)],
        "c": [(Log.POSTGRES, False), (Log.KAFKA, False), (Log.POSTGRES, True)],
    }
    found = tallied((Belongs(suite=suite, log=log), skipped) for suite, all_ in suites.items() for log, skipped in all_)
    assert {suite: str(tally) for suite, tally in found.items()} == {
        "a": "3 on Postgres, 0 on Kafka (2 skipped)",
        "c": "1 on Postgres (1 skipped), 1 on Kafka",
    }


def test_a_run_ends_with_the_tallies(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(_CONFTEST)
    pytester.makepyfile(test_it=_TESTS)
    found = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-W", "ignore")
    found.stdout.fnmatch_lines(
        ["log contract: 2 on Postgres, 0 on Kafka (2 skipped)", "replay cases: 1 on Postgres, 1 on Kafka"]
    )
    assert "blob store" not in found.stdout.str()
