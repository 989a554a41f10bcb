"""Where a plan ends: answers worked out by hand, and that a limit is where the plan has to change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from broker.sizing.limits import Kind, Limit, limits, nearest
from broker.sizing.model import Load, Terms, sized
from tests.unit.broker.sizing.known import COSTS, LOAD, PROVIDER
from tests.unit.broker.sizing.test_model import LOADS


def found(load: Load = LOAD, terms: Terms | None = None) -> dict[str, Limit]:
    terms = terms or Terms()
    return {one.name: one for one in limits(load, sized(load, COSTS, terms), terms, PROVIDER)}


def test_each_resource_is_used_as_planned_at_so_many_messages_a_second() -> None:
    assert {name: one.messages_per_second for name, one in found().items()} == {
        "5,000 deletions/h of each WABA, if it counts them": pytest.approx(5000 / 3600 / 0.2),
        "1 x media": pytest.approx(1000 * 0.5 * 128 / 60),
        "1 x erase": pytest.approx(1000 * 0.5 * 128 / 60),
        "1 x archive": pytest.approx(1000 * 0.5 / 0.42),
        "1 x edge": pytest.approx(1250),
        "1 x relay": pytest.approx(6250),
        "10 numbers of 1,000 messages/s": 10_000,
        "the store's server of 8 cores": pytest.approx(1000 * 4 / 0.482),
        "4 x archive, one for each partition": pytest.approx(1000 * 4 * 0.5 / 0.42),
        "4 x media, one for each partition": pytest.approx(1000 * 4 * 0.5 / 0.411),
        "4 x erase, one for each partition": pytest.approx(1000 * 4 * 0.5 * 256 / 60),
        "the log's server of 8 cores": pytest.approx(1000 * 4 / 0.1055),
    }


def test_the_nearest_limit_comes_first() -> None:
    at = [one.messages_per_second for one in found().values()]

    assert at == sorted(at)


def test_the_nearest_of_a_kind_is_one_that_is_certain() -> None:
    all_of_them = list(found().values())

    assert [one.name if (one := nearest(all_of_them, kind)) else None for kind in Kind] == [
        "1 x media",
        "4 x archive, one for each partition",
        "10 numbers of 1,000 messages/s",
    ]
    assert not all_of_them[0].certain
    assert nearest([], Kind.SERVER) is None


def test_numbers_are_taken_as_raised_only_where_the_usual_rate_does_not_do() -> None:
    usual = found(replace(LOAD, messages_per_second=800))

    assert usual["10 numbers of 80 messages/s"].messages_per_second == 800
    assert "raise them to 1,000" in usual["10 numbers of 80 messages/s"].remedy
    assert found()["10 numbers of 1,000 messages/s"].remedy == "more numbers"


def test_a_log_on_kafka_has_no_server_that_was_measured() -> None:
    assert not [name for name in found(terms=Terms(log="kafka")) if name.startswith("the log's server")]


def test_a_disk_is_a_limit_where_there_is_one() -> None:
    # 7.47 MB/s for 36,000 s a day and 14 days are 3,764.88 GB; 80 % of the disk is planned with.
    disk = found(terms=Terms(log_disk_bytes=10**12))["the log's disk"]

    assert disk.messages_per_second == pytest.approx(1000 * 0.8e12 / 3764.88e9)


def test_without_media_no_deletion_is_a_limit() -> None:
    names = list(found(replace(LOAD, media=0)))

    assert not [name for name in names if "deletions" in name or "erase" in name or "relay" in name]


def test_what_nobody_can_do_is_no_remedy() -> None:
    def remedy(terms: Terms, load: Load = LOAD) -> str:
        (one,) = (one for name, one in found(load, terms).items() if "archive, one for each partition" in name)
        return one.remedy

    assert "while nothing is unread" in remedy(Terms(log="kafka"))
    assert "before the first start" in remedy(Terms())
    assert "there are no more" in remedy(Terms(), replace(LOAD, numbers=10**6, messages_per_second=10**6))


def test_deletions_of_few_numbers_end_with_the_numbers() -> None:
    few = found(replace(LOAD, numbers=2))

    assert few["2 x erase, one for each number"].messages_per_second == pytest.approx(1000 * 2 * 0.5 * 256 / 60)
    assert "more numbers" in few["2 x erase, one for each number"].remedy


def test_log_and_store_on_one_server_share_its_cores() -> None:
    one = found(terms=Terms(one_server=True))

    assert one["the server of 8 cores, with log and store"].messages_per_second == pytest.approx(1000 * 4 / 0.5875)
    assert not [name for name in one if name.startswith("the store's server")]


@given(load=LOADS)
def test_a_process_more_is_needed_just_above_its_limit_and_not_below(load: Load) -> None:
    terms = Terms()
    plan = sized(load, COSTS, terms)
    processes = {f"{one.processes} x {one.name}": one for one in plan.workers}
    for one in limits(load, plan, terms, PROVIDER):
        if one.kind is Kind.PROCESS and "CONCURRENCY" not in one.remedy:
            before = processes[one.name]
            below, above = (
                next(
                    other.processes
                    for other in sized(replace(load, messages_per_second=rate), COSTS, terms).workers
                    if other.name == before.name
                )
                for rate in (one.messages_per_second * 0.999, one.messages_per_second * 1.001)
            )
            assert below <= before.processes < above


def test_what_cost_nothing_in_a_short_run_is_no_limit() -> None:
    edge = replace(COSTS.edge, server_request_microseconds=0, server_item_microseconds=0)
    free = replace(COSTS, edge=edge, scan=replace(COSTS.scan, server_microseconds=0))
    load = replace(LOAD, media=0)

    names = [one.name for one in limits(load, sized(load, free, Terms()), Terms(), PROVIDER)]

    assert not [name for name in names if name.startswith("the log's server")]
