"""`custody check` and `custody topics` on a cluster that somebody else set up badly: each fault named, and mended."""

from __future__ import annotations

import logging
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from broker.core.topics import Stream, topic_name
from tests.e2e.installation import TENANT, Installation, lay_out, use
from tests.e2e.test_cli_kafka import on_kafka
from tests.kafka_logs import kafka_logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.kafka_servers import SharedKafka

ROOT = Path(__file__).parents[2]
MESSAGES, DEAD = topic_name(TENANT, Stream.MESSAGES), topic_name(TENANT, Stream.DEAD)
_WIDTH = 200
WRONG = {
    "cleanup.policy": "compact",
    "max.message.bytes": "1000",
    "message.timestamp.type": "CreateTime",
    "retention.bytes": "1048576",
    "retention.ms": "60000",
    "unclean.leader.election.enable": "true",
}
"""Each breaks a promise, and is a setting that others have by default or by habit."""


@pytest.fixture(autouse=True)
def quiet_client(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="aiokafka")


@pytest_asyncio.fixture
async def bad(
    tmp_path: Path, database: str, kafka_server: SharedKafka, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Installation]:
    """An installation whose `messages` and `dead` somebody made before, with all that is wrong."""
    installation = lay_out(tmp_path, database, log=on_kafka(kafka_server.bootstrap))
    use(installation, monkeypatch)
    async with kafka_logs(kafka_server.bootstrap):
        admin = AdminClient({"bootstrap.servers": ",".join(kafka_server.bootstrap)})
        wanted = [NewTopic(name, 1, 1, config=WRONG) for name in (MESSAGES, DEAD)]
        for made in admin.create_topics(wanted).values():
            made.result()
        yield installation


def problems(document: Any) -> list[dict[str, str]]:  # noqa: ANN401 - JSON is what it is
    return [one for one in document["findings"] if one["level"] == "problem"]


async def test_check_names_every_setting_that_breaks_a_promise_each_with_its_remedy(bad: Installation) -> None:
    said = await bad.custody("check", "--offline", "--json")
    assert said.code == 4, said.err
    found = [one for one in problems(said.document) if one["subject"] == "topics"]
    for name, value in WRONG.items():
        about = [one for one in found if one["message"].startswith(f"{name} is {value} on")]
        assert {topic for topic in (MESSAGES, DEAD) for one in about if topic in one["message"]} == {MESSAGES, DEAD}
        assert {one["remedy"] for one in about} == {"custody topics apply"}
    assert any("8 of 10 are missing" in one["message"] for one in found)
    everything = said.document["findings"]
    assert any("1 partitions, not 2" in one["message"] for one in everything)
    assert all(one["remedy"] for one in everything if one["level"] != "ok")
    assert not any("nothing breaks a promise" in one["message"] for one in everything)


async def test_the_table_of_check_is_whole_and_no_wider_than_a_page(bad: Installation) -> None:
    document = (await bad.custody("check", "--offline", "--json")).document
    said = await bad.custody("check", "--offline")
    assert said.code == 4
    assert max(map(len, said.out.splitlines())) <= _WIDTH
    cells = [" ".join(words) for words in zip(*rows_of(said.out), strict=True)]
    for finding in document["findings"]:
        for column, words in zip(cells, (finding["level"], finding["subject"], finding["message"]), strict=False):
            assert bare(words) in bare(column), words
        assert bare(finding["remedy"]) in bare(cells[3])


async def test_plan_shows_what_apply_then_mends_and_check_is_content(bad: Installation) -> None:
    plan = await bad.custody("topics", "plan", "--json")
    assert plan.code == 5, plan.err
    changes = {(one["topic"], one["what"]): one for one in plan.document["changes"]}
    for name, value in WRONG.items():
        assert changes[MESSAGES, name]["was"] == value
        assert changes[MESSAGES, name]["becomes"] != value
    assert changes[MESSAGES, "retention.ms"]["becomes"] == str(14 * 86_400_000)
    assert changes[DEAD, "retention.ms"]["becomes"] == "-1"
    assert changes[MESSAGES, "partitions"]["becomes"] == "2"
    assert len(plan.document["create"]) == 8
    table = await bad.custody("topics", "plan")
    assert (table.code, "To be done" in table.out) == (5, True)
    assert max(map(len, table.out.splitlines())) <= _WIDTH

    done = await bad.custody("topics", "apply", "--json")
    assert (done.code, done.document) == (0, plan.document), done.err
    again = await bad.custody("topics", "plan", "--json")
    assert (again.code, again.document["changes_anything"]) == (0, False), again.out
    said = await bad.custody("check", "--offline", "--json")
    assert [one for one in problems(said.document) if one["subject"] in {"topics", "log", "brokers"}] == []
    assert any("nothing breaks a promise" in one["message"] for one in said.document["findings"])


async def test_what_applying_does_not_mend_is_a_problem_with_a_command(bad: Installation) -> None:
    file = bad.folder / "settings.toml"
    file.write_text(file.read_text().replace("replication = 1", "replication = 3").replace("insync = 1", "insync = 2"))
    plan = await bad.custody("topics", "plan", "--tenant", TENANT, "--json")
    assert plan.code == 4, plan.out
    (about,) = [one for one in problems(plan.document) if one["subject"] == MESSAGES]
    assert "1 replicas, not 3" in about["message"]
    assert about["remedy"]
    told = await bad.custody("topics", "plan", "--tenant", TENANT)
    assert f"problem: {MESSAGES}: " in told.err
    check = await bad.custody("check", "--offline", "--json")
    assert any("min.insync.replicas" in one["message"] for one in problems(check.document))


async def test_access_lists_name_the_clusters_own_brokers(bad: Installation, kafka_server: SharedKafka) -> None:
    said = await bad.custody("topics", "acls", "--tenant", TENANT, "--role", "archive", "--json")
    assert said.code == 0, said.err
    start = f"kafka-acls.sh --bootstrap-server {','.join(kafka_server.bootstrap)} "
    assert all(one["command"].startswith(start) for one in said.document)
    assert any(f"--topic {MESSAGES}" in one["command"] for one in said.document)


async def test_the_guides_commands_run_as_they_stand(bad: Installation) -> None:
    guide = (ROOT / "docs" / "kafka.md").read_text(encoding="utf-8")
    commands = [one for block in re.findall(r"```sh\n(.*?)```", guide, re.DOTALL) for one in block.splitlines()]
    assert commands[:2] == ["custody topics plan", "custody topics apply"]
    for command in commands:
        said = await bad.custody(*shlex.split(command)[1:])
        assert said.code == (5 if command.endswith("plan") else 0), (command, said.err)


def rows_of(table: str) -> Iterator[list[str]]:
    """The cells of each line of a table, folded ones as they are."""
    for line in table.splitlines():
        if line.startswith("│"):
            yield [cell.strip() for cell in line.strip("│").split("│")]


def bare(words: str) -> str:
    """Without what folding puts in."""
    return "".join(words.split())
