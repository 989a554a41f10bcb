"""`custody replay` against a real store, with the log on Postgres and on Kafka: kept once, told again, and an act."""

from __future__ import annotations

import json
import logging
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from broker import app
from broker.core.model import Kind
from broker.core.tables import RECORDS
from broker.core.topics import Stream, topic_name
from tests.e2e.installation import TENANT, Installation, lay_out, on_s3_mongo, use
from tests.e2e.test_cli_kafka import on_kafka
from tests.kafka_logs import kafka_logs
from tests.kept import all_rows
from tests.records import Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from broker.core.tables import Row
    from tests.kafka_servers import SharedKafka
    from tests.s3_servers import SharedS3

ROOT = Path(__file__).parents[2]
WHY = ("--why", "claims-desk lost its state", "--by", "T. Mokoena")
MESSAGES = topic_name(TENANT, Stream.MESSAGES)
KEPT = topic_name(TENANT, Stream.KEPT)
NOWHERE = {"postgres": "postgresql://u:p@127.0.0.1:9/none", "mongo": "mongodb://u:p@127.0.0.1:9/none"}
_KIND = RECORDS.columns.index("kind")


@pytest.fixture(autouse=True)
def quiet_client(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="aiokafka")


async def fill(here: Installation) -> None:
    """Texts of several conversations, a photo and its bytes, a status, a repetition."""
    desk = Desk(7)
    texts = [desk.text(f'"{number}"', thread=f"49170123456{number}") for number in range(8)]
    photo = desk.image()
    await here.append(*texts, photo, desk.kept(photo), desk.status(texts[0]), texts[3])
    await here.archive()


async def rows(here: Installation) -> dict[tuple[str, str], list[Row]]:
    """All that is kept and counted, acts apart."""
    tables = await app.open_tables(here.settings)
    try:
        found = await all_rows(tables)
    finally:
        await tables.close()
    return found | {
        (RECORDS.name, tenant): [row for row in found[RECORDS.name, tenant] if row[_KIND] != Kind.ACT]
        for name, tenant in found
        if name == RECORDS.name
    }


async def told(here: Installation) -> list[tuple[bytes, bytes]]:
    async with here.servers() as (log, _):
        places = await log.bounds([KEPT])
        found = [one for place in places for one in await log.read(place, 0, max_entries=1000)]
    return sorted((one.event_id.encode(), one.value) for one in found)


async def acts(here: Installation) -> list[dict[str, Any]]:
    async with here.servers() as (_, store):
        kept = [one.record async for one in store.records(TENANT) if one.record.envelope.kind == "act"]
    return [json.loads(one.content.data) for one in kept]


def guide_commands(heading: str) -> list[str]:
    """The commands that a section of the guide shows."""
    guide = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    section = guide.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]


async def ready(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    use(installation, monkeypatch)
    said = await installation.custody("init", "--logins")
    assert said.code == 0, said.err
    return installation


class ReplayCases:
    """All cases; a class for each log says where `here` is."""

    async def test_everything_replayed_twice_is_told_again_and_changes_nothing(self, here: Installation) -> None:
        await fill(here)
        before, notices = await rows(here), await told(here)
        assert len(notices) == 10
        for turn in (2, 3):
            said = await here.custody("replay", "--tenant", TENANT, *WHY, "--json")
            assert said.code == 0, said.err
            assert (said.document["entries"], said.document["notices"], said.document["dry_run"]) == (12, 10, False)
            assert await told(here) == sorted(notices * turn)
            assert await rows(here) == before
        report = (await here.custody("report", "--json")).document
        assert (report["accepted"], report["kept"], report["duplicates"]) == (11, 10, 1)
        assert [(one["action"], one["who"], one["why"]) for one in await acts(here)] == [
            ("replay", "T. Mokoena", "claims-desk lost its state")
        ] * 2

    async def test_a_dry_run_shows_the_range_and_does_nothing(self, here: Installation) -> None:
        await fill(here)
        notices = await told(here)
        said = await here.custody("replay", "--tenant", TENANT, "--stream", "messages", "--dry-run", "--json")
        assert said.code == 0, said.err
        assert (said.document["entries"], said.document["act"]) == (10, None)
        assert {one["partition"].rpartition("/")[0] for one in said.document["partitions"]} == {MESSAGES}
        assert (await told(here), await acts(here)) == (notices, [])
        table = await here.custody("replay", "--tenant", TENANT, "--dry-run")
        assert "To be replayed" in table.out
        assert f"{MESSAGES}/0" in table.out

    async def test_an_act_names_what_was_asked_for_and_what_was_replayed(self, here: Installation) -> None:
        await fill(here)
        edges = ("--from", f"{MESSAGES}/0/1", "--to", f"{MESSAGES}/0/3")
        said = await here.custody("replay", "--tenant", TENANT, *edges, *WHY, "--json")
        assert said.code == 0, said.err
        (one,) = said.document["partitions"]
        assert (one["partition"], one["from"], one["to"], one["entries"]) == (f"{MESSAGES}/0", 1, 3, 2)
        (act,) = await acts(here)
        assert act["arguments"] == {"from": edges[1], "to": edges[3], f"{MESSAGES}/0": "1 to 3"}
        shown = await here.custody("show", said.document["act"], "--json")
        assert shown.document["envelope"]["type"] == "replay"

    async def test_a_time_of_the_tenants_zone_bounds_it(self, here: Installation) -> None:
        await fill(here)
        for edges, entries in (
            (("--from", "2020-01-01", "--to", "2999-12-31"), 12),
            (("--from", "2020-01-01T08:30:00+02:00", "--to", "2020-01-02"), 0),
            (("--from", "2999-12-31T23:59:59Z"), 0),
        ):
            said = await here.custody("replay", "--tenant", TENANT, *edges, *WHY, "--json")
            assert (said.code, said.document["entries"]) == (0, entries), said.err
        assert len(await acts(here)) == 1, "what replays nothing is no act"
        plain = await here.custody("replay", "--tenant", TENANT, "--from", "2999-12-31", *WHY)
        assert (plain.code, plain.out) == (0, "Replayed: none\n")

    async def test_what_is_not_kept_yet_is_named(self, here: Installation) -> None:
        await fill(here)
        await here.append(Desk(8).text())
        said = await here.custody("replay", "--tenant", TENANT, *WHY)
        assert said.code == 0
        assert "1 entries are not kept yet" in said.err
        assert (await here.custody("report", "--json")).document["unprocessed"] == 1

    @pytest.mark.parametrize(
        "words",
        [
            (),
            ("--from", "yesterday", *WHY),
            ("--from", "2020-01-01", "--from", "2020-01-02", *WHY),
            ("--from", "2020-01-01", "--from", f"{MESSAGES}/0/1", *WHY),
            ("--from", f"{MESSAGES}/0/1", "--from", f"{MESSAGES}/0/2", *WHY),
            ("--from", f"{MESSAGES}/0", *WHY),
            ("--to", "custody.other.messages.v1/0/7", *WHY),
            ("--stream", "dead", *WHY),
        ],
    )
    async def test_what_it_can_not_mean_is_a_usage_error_of_one_line(
        self, here: Installation, words: tuple[str, ...]
    ) -> None:
        said = await here.custody("replay", "--tenant", TENANT, *words)
        assert (said.code, said.out, len(said.err.splitlines())) == (2, "", 1), said.err
        assert await acts(here) == []

    async def test_a_partition_there_is_not_and_a_log_that_is_away_have_their_exit_codes(
        self, here: Installation
    ) -> None:
        missing = await here.custody("replay", "--tenant", TENANT, "--from", f"{MESSAGES}/7/1", *WHY)
        assert (missing.code, missing.out) == (1, "")
        assert (await here.custody("replay", "--tenant", "nobody", *WHY)).code == 2
        settings = here.folder / "settings.toml"
        dsn = here.settings.address("records")
        settings.write_text(settings.read_text().replace(dsn, NOWHERE[here.settings.kind("records")]))
        down = await here.custody("replay", "--tenant", TENANT, *WHY)
        assert (down.code, down.out, len(down.err.splitlines())) == (3, "", 1), down.err


class TestReplayOnPostgres(ReplayCases):
    @pytest_asyncio.fixture
    async def here(self, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Installation:
        installation = lay_out(tmp_path, database)
        return await ready(installation, monkeypatch)

    async def test_the_guides_commands_run_as_they_stand(self, here: Installation) -> None:
        await fill(here)
        commands = guide_commands("Telling `kept` again")
        assert len(commands) == 3
        for command in commands:
            said = await here.custody(*shlex.split(command)[1:])
            assert said.code == 0, (command, said.err)


class TestReplayOnMongo(ReplayCases):
    @pytest_asyncio.fixture
    async def here(
        self,
        tmp_path: Path,
        database: str,
        mongo_database: str,
        s3_server: SharedS3,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Installation:
        installation = lay_out(tmp_path, database, stores=on_s3_mongo(mongo_database, s3_server))
        return await ready(installation, monkeypatch)


class TestReplayOnKafka(ReplayCases):
    @pytest_asyncio.fixture
    async def here(
        self, tmp_path: Path, database: str, kafka_server: SharedKafka, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Installation]:
        installation = lay_out(tmp_path, database, log=on_kafka(kafka_server.bootstrap))
        async with kafka_logs(kafka_server.bootstrap):
            yield await ready(installation, monkeypatch)
