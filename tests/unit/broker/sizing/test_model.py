"""What traffic takes: answers worked out by hand, and what must hold of any."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.settings import Settings, WorkerSettings
from broker.sizing.costs import RECORDED, Costs, record, recorded
from broker.sizing.model import LEAST_CALLS, LEAST_PARTITIONS, MOST_CALLS, MOST_PARTITIONS, Load, Sizing, Terms, sized
from tests.unit.broker.sizing.known import COSTS, LOAD

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

# A second has 900 texts, 200 documents, 3,000 statuses, 200 parts, 200 receipts; 2,000 requests of 2 items.
FOUND = sized(LOAD, COSTS, Terms())

LOADS = st.builds(
    Load,
    numbers=st.just(1000),
    messages_per_second=st.floats(0.001, 100_000),
    statuses=st.floats(0, 10),
    media=st.just(0.0) | st.floats(0.001, 1),
    media_bytes=st.floats(0, 10**8),
    identities=st.floats(0, 1),
    items_a_request=st.floats(1, 1000),
    hours_a_day=st.floats(0.1, 24),
)
TERMS = st.builds(Terms, log=st.sampled_from(["postgres", "kafka"]), utilisation=st.floats(0.01, 1))


def test_processes_are_what_the_work_keeps_busy_at_half_of_what_each_can_take() -> None:
    assert {one.name: one.busy for one in FOUND.workers} == {
        "edge": pytest.approx(0.4),  # 2,000 x 100 us + 4,000 x 50 us
        "archive": pytest.approx(0.42),  # 90 + 40 + 150 + 60 + 80 ms
        "media": pytest.approx(60 / 128),  # 200 calls of 0.3 s, 128 at once
        "relay": pytest.approx(0.08),
        "erase": pytest.approx(60 / 128),
    }
    assert [one.processes for one in FOUND.workers] == [1, 1, 1, 1, 1]
    assert FOUND.processes == 5


def test_calls_at_once_grow_before_processes_do_as_far_as_the_setting_goes() -> None:
    at = {rate: sized(replace(LOAD, messages_per_second=rate), COSTS, Terms()) for rate in (1, 1000, 10_000)}

    assert [one.calls_at_once for one in at.values()] == [8, 128, 256]
    assert [one.workers[4].processes for one in at.values()] == [1, 1, 5]  # 600 under way, of 128 in use


def test_no_worker_is_planned_that_would_get_nothing() -> None:
    slow = Terms(provider_seconds=10)  # 2,000 calls under way
    one_number = sized(replace(LOAD, numbers=1), COSTS, slow)

    assert one_number.workers[4].processes == 1  # a number's deletions lie in one partition
    assert sized(LOAD, COSTS, slow).workers[4].processes == 10
    assert one_number.workers[2].processes == 16
    assert one_number.partitions == 64  # 7.8 x 4 / 0.5, for the fetches


def test_cores_are_the_processors_alone_and_not_what_is_waited_for() -> None:
    assert [one.cores for one in FOUND.workers] == pytest.approx([0.4, 0.234, 0.411, 0.08, 0.16])


def test_where_calls_are_quick_processors_count() -> None:
    media = sized(LOAD, COSTS, Terms(provider_seconds=0.001)).workers[2]

    assert media.processes == 1
    assert media.busy == pytest.approx(0.411)


def test_a_process_that_is_used_exactly_as_planned_is_not_rounded_up_to_two() -> None:
    edge = sized(replace(LOAD, messages_per_second=2500), COSTS, Terms(utilisation=0.1)).workers[0]

    assert edge.processes == 10
    assert edge.busy == pytest.approx(1.0)


def test_partitions_are_for_four_times_the_archive_workers_in_a_power_of_two_and_four_at_least() -> None:
    assert FOUND.partitions == 4  # 0.42 x 4 / 0.5 = 3.36
    assert sized(replace(LOAD, messages_per_second=2000), COSTS, Terms()).partitions == 8  # 6.72
    assert sized(replace(LOAD, messages_per_second=10_000), COSTS, Terms()).partitions == 64  # 33.6
    assert sized(replace(LOAD, messages_per_second=10**9), COSTS, Terms()).partitions == 1024


def test_servers_are_busy_with_what_is_kept_claimed_and_appended() -> None:
    assert FOUND.store_cores == pytest.approx(0.482)  # 72 + 30 + 120 + 40 + 60 ms; 60 ms to claim, 100 ms of blobs
    assert FOUND.log_cores == pytest.approx(0.1055)  # 40 + 40 + 5.5 + 20 ms
    assert FOUND.cores == pytest.approx(1.285 + 0.482 + 0.1055)
    assert sized(LOAD, COSTS, Terms(log="kafka")).log_cores is None


def test_bytes_are_those_of_ten_hours_a_day() -> None:
    assert FOUND.a_day.store == pytest.approx(36_000 * 6_000_000)
    assert FOUND.a_day.wal == pytest.approx(36_000 * 8_740_000)
    assert FOUND.a_day.log == pytest.approx(36_000 * 7_470_000)
    assert FOUND.a_day.blobs == pytest.approx(36_000 * 22_000_000)


def test_kafka_has_each_entry_plain_and_three_times() -> None:
    assert sized(LOAD, COSTS, Terms(log="kafka")).a_day.log == pytest.approx(36_000 * 6_140_000 * 3)


def test_store_and_blobs_grow_for_days_and_the_log_for_its_retention() -> None:
    found = sized(LOAD, COSTS, Terms(days=30, retention_days=14))

    assert found.store_bytes == pytest.approx(30 * found.a_day.store)
    assert found.blob_bytes == pytest.approx(30 * found.a_day.blobs)
    assert found.log_bytes == pytest.approx(14 * found.a_day.log)


def test_requests_records_and_calls_are_counted() -> None:
    assert FOUND.requests_per_second == 2000
    assert FOUND.records_per_second == pytest.approx(4500)
    assert FOUND.calls_per_hour == 720_000


def test_without_media_nothing_is_fetched_and_nothing_erased() -> None:
    found = sized(replace(LOAD, media=0), COSTS, Terms())

    assert [one.busy for one in found.workers[3:]] == [0, 0]
    assert [one.processes for one in found.workers] == [1, 1, 1, 1, 1]
    assert (found.a_day.blobs, found.calls_per_hour) == (0, 0)


def amounts(found: Sizing) -> list[float]:
    edge, archive, media, relay, erase = found.workers
    work = [one.busy for one in (edge, archive, relay)] + [one.busy * found.calls_at_once for one in (media, erase)]
    workers = [*work, *(one.cores for one in found.workers), *(one.processes for one in (edge, archive, relay))]
    bytes_ = [found.a_day.store, found.a_day.blobs, found.a_day.wal, found.a_day.log]
    servers = [found.store_cores, found.log_cores or 0, found.partitions, found.calls_at_once]
    return [*workers, *bytes_, *servers, found.store_bytes, found.log_bytes, found.requests_per_second]


@given(load=LOADS, terms=TERMS, times=st.floats(1, 100))
def test_more_traffic_never_takes_less_of_anything(load: Load, terms: Terms, times: float) -> None:
    less = amounts(sized(load, COSTS, terms))
    more = amounts(sized(replace(load, messages_per_second=load.messages_per_second * times), COSTS, terms))

    assert all(one <= other * (1 + 1e-9) for one, other in zip(less, more, strict=True))


@given(load=LOADS, terms=TERMS)
def test_no_process_is_used_further_than_is_planned_with(load: Load, terms: Terms) -> None:
    for one in sized(load, COSTS, terms).workers:
        assert one.busy <= one.processes * terms.utilisation + 1e-9 or one.processes == one.most


def test_costs_come_back_from_a_file_as_they_were(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("costs") / "costs.json"

    record(COSTS, path)

    assert recorded(path) == COSTS


def test_the_costs_that_come_with_custody_are_whole() -> None:
    costs = recorded()

    assert costs.machine
    assert costs.at
    assert costs.command.startswith('make bench ARGS="costs')
    assert min(figures_of(costs)) >= 0
    assert costs.text.worker_microseconds > 0
    assert costs.status.store_bytes > 0
    assert RECORDED.parent.name == "sizing"


def figures_of(costs: Costs) -> list[float]:
    entries = (costs.text, costs.document, costs.status, costs.part, costs.receipt)
    return [
        figure
        for one in entries
        for figure in (one.worker_microseconds, one.cpu_microseconds, one.server_microseconds, one.store_bytes)
    ]


def most(field: FieldInfo) -> int:
    return max(getattr(one, "le", 0) for one in field.metadata)


def test_it_plans_within_what_settings_take() -> None:
    partitions = Settings.model_fields["partitions"]
    assert partitions.default == LEAST_PARTITIONS
    assert most(partitions) == MOST_PARTITIONS
    for name in ("media_concurrency", "erase_concurrency"):
        calls = WorkerSettings.model_fields[name]
        assert calls.default == LEAST_CALLS
        assert most(calls) == MOST_CALLS
