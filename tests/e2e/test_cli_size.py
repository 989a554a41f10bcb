"""`custody size`: what it prints for costs that are known, as a table and as JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.commands import size
from tests.e2e.installation import said
from tests.unit.broker.sizing.known import COSTS

MIX = ("--media-kilobytes", "100", "--items", "2", "--hours", "10")
LOAD = ("--numbers", "10", "--messages-per-second", "1000", *MIX)


@pytest.fixture(autouse=True)
def known_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size, "recorded", lambda: replace(COSTS, note="by hand"))


def row(out: str, name: str) -> list[str]:
    (found,) = [line for line in out.splitlines() if line.startswith("│") and line.split("│")[1].strip() == name]
    return [cell.strip() for cell in found.split("│")[2:-1]]


def test_the_table_says_what_to_run_and_what_is_written() -> None:
    out = said("size", *LOAD).out

    assert "1,000 messages a second on 10 numbers, 3,000 statuses and 200 photos or documents: 2,000 webhooks" in out
    assert row(out, "custody run edge") == ["1", "0.40", "0.40"]
    assert row(out, "custody run media") == ["1", "0.47", "0.41"]
    assert row(out, "all") == ["5", "", "1.28"]
    assert row(out, "calls at once in a worker")[0].startswith("128: CUSTODY_WORKERS__MEDIA_CONCURRENCY")
    assert row(out, "partitions of each topic") == ["4: CUSTODY_PARTITIONS"]
    assert row(out, "store: rows and indexes") == ["216 GB", "6.48 TB", "after 30 days"]
    assert row(out, "log") == ["269 GB", "3.76 TB", "14 days of it"]
    assert row(out, "the provider") == ["720,000 downloads and as many deletions an hour"]


def test_it_says_where_the_next_limits_lie_and_what_is_exceeded() -> None:
    out = said("size", *LOAD).out

    assert "The next limit: 1 x media, at 1,067 messages/s. Before that: more CUSTODY_WORKERS__MEDIA_CONC" in out
    assert "The next that no further process lifts: 4 x archive, one for each partition, at 4,762 messages/s" in out
    assert row(out, "5,000 deletions/h of each WABA, if it counts them")[0] == "6.94, exceeded (?)"
    small = said("size", *LOAD, "--server-cores", "1", "--utilisation", "0.3").out
    assert "the store's server of 1 cores, at 622 messages/s (exceeded)" in small


def test_what_was_assumed_and_where_the_costs_come_from_is_said() -> None:
    out = said("size", *LOAD).out

    assert "Assumed: 50% of what each process, partition and server can take is planned with" in out
    assert "Assumed: this rate lasts for 10 hours a day, with 2 items a webhook" in out
    assert "Costs: a machine, 2026-11-27, make bench" in out
    assert out.endswith("Mind: by hand\n")


def test_json_is_one_document_with_all_of_it() -> None:
    told = said("size", *LOAD, "--json")
    found = told.document

    assert (told.code, told.err) == (0, "")
    assert found["load"]["messages_per_second"] == 1000
    assert found["terms"]["utilisation"] == 0.5
    assert found["sizing"]["partitions"] == 4
    assert found["sizing"]["processes"] == 5
    assert found["sizing"]["a_day"]["store"] == pytest.approx(216e9)
    assert [one["name"] for one in found["sizing"]["workers"]] == ["edge", "archive", "media", "relay", "erase"]
    assert found["next"]["process"]["name"] == "1 x media"
    assert found["next"]["provider"]["messages_per_second"] == 10_000
    assert found["limits"][0]["certain"] is False
    assert found["costs"]["note"] == "by hand"


def test_every_option_changes_what_it_is_about() -> None:
    usual = said("size", *LOAD, "--json").document["sizing"]

    def with_options(*options: str) -> dict[str, float]:
        found: dict[str, float] = said("size", *LOAD, *options, "--json").document["sizing"]
        return found

    assert with_options("--statuses", "6")["records_per_second"] == pytest.approx(7500)
    assert with_options("--identities", "1")["records_per_second"] == pytest.approx(5400)
    assert with_options("--items", "8")["requests_per_second"] == 500
    assert with_options("--media", "0.4")["calls_per_hour"] == 2 * usual["calls_per_hour"]
    assert with_options("--media-kilobytes", "50")["blob_bytes"] == pytest.approx(usual["blob_bytes"] / 2)
    assert with_options("--days", "60")["store_bytes"] == pytest.approx(2 * usual["store_bytes"])
    assert with_options("--retention-days", "7")["log_bytes"] == pytest.approx(usual["log_bytes"] / 2)
    assert with_options("--hours", "20")["store_bytes"] == pytest.approx(2 * usual["store_bytes"])
    assert with_options("--log", "kafka")["log_cores"] is None
    kafka = [with_options("--log", "kafka", "--replication", one)["log_bytes"] for one in ("1", "2")]
    assert kafka[1] == pytest.approx(2 * kafka[0])
    assert with_options("--utilisation", "0.1")["processes"] > usual["processes"]
    assert with_options("--provider-seconds", "0.01")["calls_at_once"] < usual["calls_at_once"]


def test_limits_know_servers_disks_and_accounts() -> None:
    options = ("--server-cores", "16", "--log-disk-gigabytes", "1000", "--wabas", "2")
    found = {
        one["name"]: one["messages_per_second"] for one in said("size", *LOAD, *options, "--json").document["limits"]
    }

    assert found["the store's server of 16 cores"] == pytest.approx(1000 * 8 / 0.482)
    assert found["the log's disk"] == pytest.approx(1000 * 0.8e12 / 3764.88e9)
    assert found["5,000 deletions/h of each WABA, if it counts them"] == pytest.approx(2 * 5000 / 3600 / 0.2)
