"""The command against real servers, stores on Postgres or on MongoDB and S3: prepared, checked, looked into, mended."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from broker import app
from broker.core.codec import canonical, decode
from broker.core.model import FetchTask
from broker.core.topics import Stream, topic_name
from tests.e2e.installation import TENANT, Installation, lay_out, on_s3_mongo, use
from tests.records import Desk
from tests.unit.broker.registry_files import GOOD, write

if TYPE_CHECKING:
    from pathlib import Path

REASON = ("--reason", "complaint 4711", "--by", "T. Mokoena")


@pytest.fixture(params=["postgres", "s3_mongo"])
def bare(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> Installation:
    """Settings and servers, nothing on them yet."""
    stores = None
    if request.param == "s3_mongo":
        stores = on_s3_mongo(request.getfixturevalue("mongo_database"), request.getfixturevalue("s3_server"))
    installation = lay_out(tmp_path, database, stores=stores)
    use(installation, monkeypatch)
    return installation


@pytest.fixture
def on_postgres(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Likewise, where only Postgres can tell what is asked for."""
    installation = lay_out(tmp_path, database)
    use(installation, monkeypatch)
    return installation


@pytest_asyncio.fixture
async def here(bare: Installation) -> Installation:
    """An installation that is ready."""
    said = await bare.custody("init", "--logins")
    assert said.code == 0, said.err
    return bare


async def test_init_may_be_run_again(bare: Installation) -> None:
    first = await bare.custody("init", "--logins", "--json")
    assert (first.code, first.document["changed"]) == (0, True), first.err
    assert any("created topic custody.acme.messages.v1" in one["what"] for one in first.document["steps"])
    again = await bare.custody("init", "--logins", "--json")
    assert (again.code, again.document["changed"]) == (0, False), again.err
    plain = await bare.custody("init")
    assert (plain.code, "log: its schema is up to date" in plain.out) == (0, True)


async def identity_of(installation: Installation) -> str:
    async with installation.servers() as (log, _):
        return log.identity


async def test_a_log_that_was_moved_and_lost_nothing_goes_on_as_the_one_it_was(on_postgres: Installation) -> None:
    assert (await on_postgres.custody("init", "--logins")).code == 0
    before = await identity_of(on_postgres)
    connection = await asyncpg.connect(on_postgres.admin_dsn)
    await connection.execute("UPDATE custody_log.identity SET place = 'another server/1/1'")
    await connection.close()
    assert await identity_of(on_postgres) != before
    assert (await on_postgres.custody("init")).code == 0
    assert await identity_of(on_postgres) != before
    said = await on_postgres.custody("init", "--keep-log-identity")
    assert (said.code, "log: goes on under the identity it had" in said.out) == (0, True), said.err
    assert await identity_of(on_postgres) == before


async def test_check_is_content_with_a_good_installation(here: Installation) -> None:
    said = await here.custody("check", "--offline", "--json")
    assert said.code == 0, said.out
    levels = {one["subject"]: one["level"] for one in said.document["findings"] if one["level"] != "warning"}
    assert levels == dict.fromkeys(("registry", "log", "records", "blobs", "topics"), "ok")
    assert all(one["remedy"] for one in said.document["findings"] if one["level"] == "warning")


async def test_check_names_everything_wrong_with_its_remedy(bare: Installation) -> None:
    write(bare.folder, GOOD.replace("ZA", "Zuid"))
    said = await bare.custody("check", "--offline", "--json")
    assert said.code == 4
    problems = [one for one in said.document["findings"] if one["level"] == "problem"]
    assert {one["subject"] for one in problems} >= {"accounts.claims.posture.region", "log", "records", "blobs"}
    assert all(one["remedy"] for one in problems)


async def test_check_tells_of_a_server_that_is_too_mighty_or_forgetful(on_postgres: Installation) -> None:
    here = on_postgres
    assert (await here.custody("init", "--logins")).code == 0
    text = (here.folder / "settings.toml").read_text()
    owner = here.settings.address("records")
    (here.folder / "settings.toml").write_text(text.replace(owner, here.admin_dsn))
    said = await here.custody("check", "--offline", "--json")
    messages = " ".join(one["message"] for one in said.document["findings"] if one["subject"] == "records")
    assert "the login may do anything" in messages
    assert "fsync is off" in messages


async def test_check_tells_of_indexes_made_by_other_rules_of_sorting(on_postgres: Installation) -> None:
    # As after an upgrade of the C library or of ICU: https://www.postgresql.org/docs/18/sql-altercollation.html
    here = on_postgres
    assert (await here.custody("init", "--logins")).code == 0
    connection = await asyncpg.connect(here.admin_dsn)
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute("UPDATE pg_database SET datcollversion = 'old' WHERE datname = $1", database)
    said = await here.custody("check", "--offline", "--json")
    assert said.code == 4
    problems = [one for one in said.document["findings"] if one["level"] == "problem"]
    assert [one["subject"] for one in problems if "sorted otherwise" in one["message"]] == ["log", "records", "blobs"]
    await connection.execute(f'ALTER DATABASE "{database}" REFRESH COLLATION VERSION')
    await connection.close()
    assert (await here.custody("check", "--offline")).code == 0


async def test_check_asks_the_provider_of_each_account(here: Installation) -> None:
    settings = here.folder / "settings.toml"
    settings.write_text(settings.read_text() + '\n[whatsapp_cloud]\ngraph_url = "http://127.0.0.1:9"\n')
    said = await here.custody("account", "check", "claims", "--json")
    assert said.code == 4
    assert any(one["subject"].startswith("claims") for one in said.document["findings"])


async def test_a_report_closes_by_number_and_day(here: Installation) -> None:
    desk = Desk(7)
    await here.append(desk.text("one"), again := desk.text("two"), again, desk.image())
    under_way = await here.custody("report", "--strict", "--json")
    assert (under_way.code, under_way.document["unprocessed"]) == (1, 4)
    await here.archive()
    said = await here.custody("report", "--json")
    report = said.document
    figures = {name: report[name] for name in ("accepted", "kept", "duplicates", "parts_open", "targets", "open")}
    assert figures == {"accepted": 4, "kept": 3, "duplicates": 1, "parts_open": 1, "targets": 1, "open": 1}
    assert report["closes"] is False
    (day,) = report["tenants"][TENANT]["days"]
    assert (day["account"], day["day"], day["accepted"]) == ("106540352242922", "2026-11-23", 4)
    assert report["tenants"][TENANT]["texts"]["count"] == 3
    other = await here.custody("report", "--day", "2026-11-22", "--json")
    assert other.document["tenants"][TENANT]["days"] == []
    table = await here.custody("report")
    assert "Does not close: acme: parts_open is 1, not 0" in table.out
    assert (await here.custody("report", "--tenant", "nobody")).code == 2


async def test_a_record_is_shown_without_its_content(here: Installation) -> None:
    desk = Desk(7)
    record = desk.text('"Good morning, my policy"')
    await here.append(record)
    await here.archive()
    said = await here.custody("show", record.envelope.record_id, "--json")
    assert said.document["envelope"]["record_id"] == record.envelope.record_id
    assert said.document["arrival"]["position"]["offset"] == 0
    assert "Good morning" not in said.out
    conversation = await here.custody("show", record.envelope.conversation, "--json")
    assert [one["record_id"] for one in conversation.document["records"]] == [record.envelope.record_id]


async def test_content_is_shown_for_a_reason_which_is_kept_first(here: Installation) -> None:
    desk = Desk(7)
    record = desk.text('"Good morning, my policy"')
    await here.append(record)
    await here.archive()
    refused = await here.custody("show", record.envelope.record_id, "--content")
    assert (refused.code, refused.out) == (2, "")
    assert "--reason" in refused.err
    said = await here.custody("show", record.envelope.record_id, "--content", *REASON, "--json")
    assert said.document["content"]["data"]["item"] == "Good morning, my policy"
    async with here.servers() as (_, store):
        acts = [one async for one in store.records(TENANT) if one.record.envelope.kind == "act"]
    (act,) = acts
    assert act.record.envelope.type == "read_content"
    assert act.record.envelope.relations[0].record_id == record.envelope.record_id
    assert b"complaint 4711" in act.record.content.data
    assert b"Mokoena" in act.record.content.data
    assert b"Mokoena" not in canonical(act.record.envelope) + canonical(act.record.arrival)
    closing = await here.custody("report", "--strict", "--json")
    assert (closing.code, closing.document["kept"]) == (0, 1), "an act is no record of the account"


async def test_a_dead_letter_is_redriven_once_and_the_account_closes(here: Installation) -> None:
    desk = Desk(7)
    record = desk.text('"died of a defect"')
    await here.append(desk.text("before"), record, desk.text("after"))
    await here.archive(kill=[record.envelope.record_id])
    (dead,) = (await here.custody("dead", "list", "--json")).document
    assert (dead["tenant"], dead["code"], dead["attempts"], dead["state"]) == (TENANT, "unexpected", 3, "open")
    assert (await here.custody("report", "--json")).document["dead"] == 1
    shown = await here.custody("dead", "show", dead["dead"], "--json")
    assert (shown.document["gap_record_id"], "content" in shown.document) == (dead["gap_record_id"], False)
    opened = await here.custody("dead", "show", dead["dead"], "--content", *REASON, "--json")
    assert opened.document["content"]["data"]["envelope"]["record_id"] == record.envelope.record_id
    said = await here.custody("dead", "redrive", dead["dead"], *REASON, "--json")
    assert said.document == {"redriven": [dead["dead"]]}
    await here.archive()
    report = (await here.custody("report", "--strict", "--json")).document
    assert (report["accepted"], report["kept"], report["dead"], report["closes"]) == (3, 3, 0, True)
    assert (await here.custody("dead", "list", "--json")).document == []
    assert (await here.custody("dead", "redrive", dead["dead"], *REASON)).code == 1
    assert (await here.custody("dead", "redrive", "--all", *REASON, "--json")).document == {"redriven": []}
    async with here.servers() as (_, store):
        kinds = [one.record.envelope.type async for one in store.records(TENANT) if one.record.envelope.kind == "act"]
    assert sorted(kinds) == ["read_dead", "redrive"]


async def test_a_blocked_erasure_is_released(here: Installation) -> None:
    desk = Desk(7)
    record = desk.image()
    await here.append(record, desk.lost(record, reason="gone"))
    await here.archive()
    (blocked,) = (await here.custody("blocked", "list", "--json")).document
    assert (blocked["tenant"], blocked["object"]) == (TENANT, "media")
    said = await here.custody("blocked", "release", blocked["target"], *REASON, "--json")
    assert said.document == {"released": 1}
    assert (await here.custody("blocked", "list", "--json")).document == []


async def test_a_blocked_erasure_is_taken_for_gone(here: Installation) -> None:
    desk = Desk(7)
    record = desk.image()
    await here.append(record, desk.lost(record, reason="gone"))
    await here.archive()
    (blocked,) = (await here.custody("blocked", "list", "--json")).document
    refused = await here.custody("blocked", "accept", blocked["target"])
    assert (refused.code, "--reason" in refused.err) == (2, True)
    said = await here.custody("blocked", "accept", blocked["target"], *REASON, "--json")
    assert said.document == {"accepted": blocked["target"]}
    report = (await here.custody("report", "--json")).document
    assert (report["already_gone"], report["open"], report["closes"]) == (1, 0, True)
    assert await _acts(here) == ["accept_gone"]
    again = await here.custody("blocked", "accept", blocked["target"], *REASON)
    assert (again.code, await _acts(here)) == (1, ["accept_gone"])


async def test_a_lost_part_is_asked_for_again_and_kept_after_all(here: Installation) -> None:
    desk = Desk(7)
    record, variant = (desk.image("media-1", f"media-{two}", native="same", caption=f'"{two}"') for two in (2, 3))
    losses = [desk.lost(one, 2, reason="too_large") for one in (record, variant)]
    await here.append(record, variant, *losses)
    await here.archive()
    listed = (await here.custody("part", "list", "--json")).document
    assert [(one["part"], one["state"]) for one in listed if one["state"] != "lost"] == [(1, "open")] * 2
    lost = [one for one in listed if one["state"] == "lost"]
    assert [(one["part"], one["reason"], one["tenant"]) for one in lost] == [(2, "too_large", TENANT)] * 2
    assert "media-" not in str(lost)
    before = app.now()
    for one in lost:
        said = await here.custody("part", "refetch", one["record"], "2", *REASON, "--json")
        assert said.document == {"record": one["record"], "part": 2, "target": one["target"]}, said.err
    tasks = await _tasks(here)
    assert {task.record_id for task in tasks} == {record.envelope.record_id}, "a variant's too"
    assert {task.fingerprint for task in tasks} == {record.fingerprint, variant.fingerprint}
    assert {task.target_id for task in tasks} == {one["target"] for one in lost}
    assert {task.media.object_id for task in tasks} == {"media-2", "media-3"}
    assert all(task.attempt == 1 and task.fetch_by > before for task in tasks)
    assert await _acts(here) == ["refetch"] * 2
    await here.append(desk.kept(variant, 2))
    await here.archive()
    (left,) = [one for one in (await here.custody("part", "list", "--json")).document if one["state"] == "lost"]
    assert left["record"] == record.envelope.record_id
    report = (await here.custody("report", "--json")).document
    assert (report["parts_kept"], report["parts_lost"], report["residue"]) == (1, 1, 1)


async def test_only_a_part_without_its_bytes_is_asked_for_again(here: Installation) -> None:
    desk = Desk(7)
    record = desk.image("media-1", "media-2")
    await here.append(record, desk.kept(record, 1))
    await here.archive()
    for number in ("1", "3"):
        said = await here.custody("part", "refetch", record.envelope.record_id, number, *REASON)
        assert (said.code, said.out, "custody part list" in said.err) == (1, "", True)
    assert await _acts(here) == []
    assert await _tasks(here) == []
    assert (await here.custody("part", "refetch", record.envelope.record_id, "1")).code == 2
    assert (await here.custody("part", "refetch", record.envelope.record_id, "2", *REASON)).code == 0, "it is open"


async def _acts(here: Installation) -> list[str]:
    async with here.servers() as (_, store):
        return [one.record.envelope.type async for one in store.records(TENANT) if one.record.envelope.kind == "act"]


async def _tasks(here: Installation) -> list[FetchTask]:
    async with here.servers() as (log, _):
        places = await log.bounds([topic_name(TENANT, Stream.FETCHES)])
        entries = [entry for place in places for entry in await log.read(place, 0, max_entries=100)]
    return [decode(entry.value, FetchTask) for entry in entries]


async def test_what_is_registered_is_listed_checked_and_applied(here: Installation) -> None:
    (tenant,) = (await here.custody("tenant", "list", "--json")).document
    assert (tenant["tenant"], tenant["accounts"]) == (TENANT, 1)
    (account,) = (await here.custody("account", "list", "--json")).document
    assert (account["account"], account["storage"], account["region"]) == ("claims", "local", "ZA")
    assert "token" not in str(account)
    more = GOOD + '\n[tenants.other]\nzone = "UTC"\nkey_file = "other.key"\n'
    (here.folder / "other.key").write_text("".join(f"{number:02x}" for number in range(100, 132)))
    write(here.folder, more)
    missing = await here.custody("tenant", "check", "--json")
    assert missing.code == 4
    assert any("custody.other.messages.v1" in one["message"] for one in missing.document["findings"])
    applied = await here.custody("tenant", "apply", "--json")
    assert (applied.code, applied.document["changed"]) == (0, True)
    assert (await here.custody("tenant", "check")).code == 0
    assert (await here.custody("account", "apply", "--json")).document["unclaimed"] == 0


async def test_a_reader_sees_its_tenant(here: Installation) -> None:
    password = here.folder / "reader"
    password.write_text("not-a-secret-1")
    said = await here.custody("tenant", "apply", "--tenant", TENANT, "--reader-password-file", str(password), "--json")
    assert any("custody_reader_acme" in one["what"] for one in said.document["steps"]), said.err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_server_that_does_not_answer_is_exit_code_3(here: Installation) -> None:
    settings = here.folder / "settings.toml"
    address = app.settings_of(settings).address("records")
    nowhere = "postgresql://u:p@127.0.0.1:9/none"
    if address.startswith("mongodb"):
        nowhere = "mongodb://u:p@127.0.0.1:9/none?serverSelectionTimeoutMS=500"
    settings.write_text(settings.read_text().replace(address, nowhere))
    for command in (("report",), ("show", "rec_abc"), ("dead", "list"), ("blocked", "list"), ("part", "list")):
        said = await here.custody(*command)
        assert (said.code, said.out) == (3, ""), said
        assert len(said.err.splitlines()) == 1, said.err
    assert (await here.custody("check", "--offline")).code == 4
    gc.collect()  # PyMongo's client, closed while it connects, leaves a socket to be found here and not in other tests


async def test_topics_are_planned_and_applied(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    same = await here.custody("topics", "plan", "--json")
    assert (same.code, same.document["changes_anything"]) == (0, False), same.err
    assert "nothing to change" in (await here.custody("topics", "plan")).out

    monkeypatch.setenv("CUSTODY_RETENTION_DAYS", "21")
    plan = await here.custody("topics", "plan", "--json")
    assert plan.code == 5, plan.err
    changes = {one["topic"]: one for one in plan.document["changes"]}
    name = f"custody.{TENANT}.messages.v1"
    assert (changes[name]["what"], changes[name]["becomes"]) == ("retention_seconds", str(21 * 86_400))
    assert f"custody.{TENANT}.dead.v1" not in changes
    assert name in (await here.custody("topics", "plan", "--tenant", TENANT)).out

    done = await here.custody("topics", "apply", "--json")
    assert (done.code, done.document["changes"]) == (0, plan.document["changes"])
    again = await here.custody("topics", "apply", "--json")
    assert (again.code, again.document["changes_anything"]) == (0, False)

    monkeypatch.setenv("CUSTODY_PARTITIONS", "64")
    assert (await here.custody("topics", "plan")).code == 0, "a warning is no problem"
    grown = await here.custody("topics", "plan", "--grow", "--json")
    assert (grown.code, grown.document["changes_anything"]) == (4, False)


async def test_access_lists_are_printed_as_commands(here: Installation) -> None:
    said = await here.custody("topics", "acls", "--tenant", TENANT)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert [one for one in lines if one.startswith("#")][:2] == ["# edge", "# archive"]
    assert all(one.startswith(("#", "kafka-acls.sh ")) for one in lines)
    chosen = await here.custody(
        *("topics", "acls", "--tenant", TENANT, "--role", "subscriber", "--principal", "User:desk", "--json")
    )
    assert {(one["role"], one["principal"]) for one in chosen.document} == {("subscriber", "User:desk")}
    assert f"--group {TENANT}. --resource-pattern-type prefixed" in chosen.document[1]["command"]
    assert (await here.custody("topics", "acls", "--tenant", TENANT, "--role", "nobody")).code == 2
    assert (await here.custody("topics", "acls", "--tenant", "nobody")).code == 2


async def test_lag_is_told_by_partition_and_group(here: Installation) -> None:
    said = await here.custody("lag", "--tenant", TENANT, "--json")
    assert said.code == 0, said.err
    rows = said.document["partitions"]
    assert {one["group"] for one in rows} == {"archive", "media", "fetch", "erase"}
    assert {one["tenant"] for one in rows} == {TENANT}
    assert {(one["lag"], one["lost"], one["stopped"], one["owner"]) for one in rows} == {(0, 0, None, None)}
    assert said.document["dead"] == {TENANT: 0}
    everybody = await here.custody("lag", "--json")
    assert {one["group"] for one in everybody.document["partitions"]} > {"claim"}
    plain = await here.custody("lag")
    assert f"dead letters open of {TENANT}: 0" in plain.out
    assert (await here.custody("lag", "--health", "ftp://x")).code == 2
