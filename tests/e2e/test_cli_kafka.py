"""The command with its log on a real Kafka: prepared, checked, reported on, logged in, and run by Custody itself."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from broker import app
from broker.core.errors import LogUnavailableError
from broker.demo.ports import free_ports
from broker.log.kafka.local import ClusterOptions, ClusterSecurity, Login
from tests.e2e.installation import TENANT, Installation, lay_out, use
from tests.kafka_credentials import Certificates, TokenMaker
from tests.kafka_logs import kafka_logs
from tests.kafka_servers import missing_for_local_kafka, private_kafka
from tests.records import Desk
from tests.servers import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from tests.kafka_servers import SharedKafka

PASSWORD = "only-for-tests"
_SECONDS = 60.0


@pytest.fixture(autouse=True)
def quiet_client(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="aiokafka")


def on_kafka(bootstrap: Sequence[str], **more: object) -> str:
    """A section of the settings; strings and numbers only."""
    settings = {"kind": "kafka", "replication": 1, "min_insync": 1, "request_seconds": 5.0} | more
    addresses = ", ".join(f'"{one}"' for one in bootstrap)
    lines = [
        f'{name} = "{value}"' if isinstance(value, str | Path) else f"{name} = {value}"
        for name, value in settings.items()
    ]
    return "\n".join([f"bootstrap = [{addresses}]", *lines])


@pytest_asyncio.fixture
async def bare(
    tmp_path: Path, database: str, kafka_server: SharedKafka, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Installation]:
    """Records and blobs on Postgres, the log on Kafka, nothing on them yet."""
    installation = lay_out(tmp_path, database, log=on_kafka(kafka_server.bootstrap))
    use(installation, monkeypatch)
    async with kafka_logs(kafka_server.bootstrap):
        yield installation


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that Postgres' own account may walk through, unlike pytest's when root runs the tests."""
    with tempfile.TemporaryDirectory(prefix="custody-test-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


async def test_init_creates_the_topics_and_may_be_run_again(bare: Installation) -> None:
    first = await bare.custody("init", "--logins", "--json")
    assert (first.code, first.document["changed"]) == (0, True), first.err
    done = [(one["server"], one["what"]) for one in first.document["steps"]]
    assert ("log", f"created topic custody.{TENANT}.messages.v1") in done
    assert {server for server, what in done if "schema" in what or "applied" in what} == {"records", "blobs"}
    again = await bare.custody("init", "--logins", "--json")
    assert (again.code, again.document["changed"]) == (0, False), again.err


async def test_check_has_no_problem_with_a_good_installation(bare: Installation) -> None:
    assert (await bare.custody("init", "--logins")).code == 0
    said = await bare.custody("check", "--offline", "--json")
    assert said.code == 0, said.out
    found = [(one["subject"], one["level"]) for one in said.document["findings"]]
    assert {("log", "ok"), ("records", "ok"), ("blobs", "ok")} <= set(found)
    assert any("nothing breaks a promise" in one["message"] for one in said.document["findings"])


async def test_check_names_missing_topics_and_a_cluster_that_does_not_answer(
    bare: Installation, kafka_server: SharedKafka
) -> None:
    missing = await bare.custody("check", "--offline", "--json")
    assert missing.code == 4
    assert "topics" in {one["subject"] for one in missing.document["findings"] if one["level"] == "problem"}
    file = bare.folder / "settings.toml"
    text = file.read_text().replace(", ".join(f'"{one}"' for one in kafka_server.bootstrap), '"127.0.0.1:9"')
    file.write_text(text)
    down = await bare.custody("check", "--offline", "--json")
    assert down.code == 4
    (problem,) = [one for one in down.document["findings"] if one["subject"] == "log" and one["level"] == "problem"]
    assert "CUSTODY_LOG__BOOTSTRAP" in problem["remedy"]
    report = await bare.custody("report")
    assert (report.code, "Traceback" in report.err) == (3, False)


async def test_a_report_counts_what_is_on_the_log(bare: Installation) -> None:
    assert (await bare.custody("init", "--logins")).code == 0
    desk = Desk(7)
    await bare.append(desk.text("one"), again := desk.text("two"), again, desk.image())
    under_way = await bare.custody("report", "--strict", "--json")
    assert (under_way.code, under_way.document["unprocessed"]) == (1, 4), under_way.err
    await bare.archive()
    report = (await bare.custody("report", "--json")).document
    figures = {name: report[name] for name in ("accepted", "kept", "duplicates", "unprocessed", "parts_open")}
    assert figures == {"accepted": 4, "kept": 3, "duplicates": 1, "unprocessed": 0, "parts_open": 1}


async def test_a_rotated_password_is_taken_up_at_the_next_login(tmp_path: Path, database: str) -> None:
    security = ClusterSecurity(
        protocol="sasl_plaintext",
        mechanisms=("scram-sha-256",),
        logins=(Login(user="custody", password=PASSWORD, mechanism="scram-sha-256"),),
    )
    async with private_kafka(ClusterOptions(security=security)) as cluster:
        file = tmp_path / "password"
        file.write_text("not this one")
        login = {
            "protocol": "sasl_plaintext",
            "mechanism": "scram-sha-256",
            "username": "custody",
            "password_file": file,
        }
        settings = lay_out(tmp_path, database, log=on_kafka(cluster.bootstrap, **login)).settings
        with pytest.raises(LogUnavailableError):
            await app.open_log(settings)
        file.write_text(f"{PASSWORD}\n")
        log = await app.open_log(settings)
        try:
            await log.ping()
            file.write_text("rotated too early")
            await cluster.restart()
            with pytest.raises(LogUnavailableError):
                await log.ping()
            file.write_text(PASSWORD)
            await log.ping()
        finally:
            await log.close()


async def test_a_token_a_certificate_and_an_authority_are_used_as_the_settings_name_them(
    tmp_path: Path, database: str
) -> None:
    certificates, tokens = Certificates.make(tmp_path), TokenMaker(jwks_file=tmp_path / "jwks.json")
    tokens.publish()
    (tmp_path / "token").write_text(tokens.token("custody"))
    tls: dict[str, object] = {"ca_file": certificates.ca_file}
    mutual = tls | {"certificate_file": certificates.client_certificate_file, "key_file": certificates.client_key_file}
    by_token = ClusterSecurity(
        protocol="sasl_ssl",
        mechanisms=("oauthbearer",),
        jwks_file=tokens.jwks_file,
        audience=tokens.audience,
        keystore_file=certificates.keystore_file,
    )
    by_certificate = ClusterSecurity(
        protocol="ssl", keystore_file=certificates.keystore_file, client_ca_file=certificates.ca_file
    )
    ways = [
        (by_token, tls | {"protocol": "sasl_ssl", "mechanism": "oauthbearer", "token_file": tmp_path / "token"}),
        (by_certificate, mutual | {"protocol": "ssl"}),
    ]
    for security, login in ways:
        async with private_kafka(ClusterOptions(security=security)) as cluster:
            log = await app.open_log(lay_out(tmp_path, database, log=on_kafka(cluster.bootstrap, **login)).settings)
            await log.ping()
            await log.close()


async def test_one_machine_needs_no_cluster_but_custodys_own(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing := await asyncio.to_thread(missing_for_local_kafka):
        unavailable(missing)
    postgres, kafka = free_ports(2)
    installation = lay_out(open_folder, "postgresql://unused:unused@127.0.0.1:9/none")
    addresses = "\n".join(
        f'[{name}]\ndsn = "postgresql://{name}_user:pw-{name}@127.0.0.1:{postgres}/custody_{name}"'
        for name in ("records", "blobs")
    )
    own = f'directory = "postgres"\nport = {postgres}\nkafka_directory = "kafka"\nkafka_port = {kafka}'
    log = on_kafka([f"127.0.0.1:{kafka}"])
    text = f'profile = "demo"\nregistry = "custody.toml"\n[embedded]\n{own}\n[log]\n{log}\n{addresses}\n'
    (open_folder / "settings.toml").write_text(text)
    use(installation, monkeypatch)
    first = await installation.custody("init", "--json")
    assert (first.code, first.document["changed"]) == (0, True), first.err
    again = await installation.custody("init", "--json")
    refused = await installation.custody("init", "--keep-log-identity")
    assert (refused.code, "--keep-log-identity: is for a log on Postgres" in refused.err) == (2, True)
    assert (again.code, again.document["changed"]) == (0, False), again.err
    assert (open_folder / "kafka" / "broker-1" / "data").is_dir()

    settings = installation.settings
    starter = AsyncExitStack()
    await starter.enter_async_context(app.embedded(settings))
    async with app.embedded(settings, keep=True):
        await starter.aclose()
        async with asyncio.timeout(_SECONDS):
            while not await answers(kafka):  # noqa: ASYNC110 - a server tells nobody that it is there
                await asyncio.sleep(0.05)
        log_again = await app.open_log(settings)
        assert f"custody.{TENANT}.messages.v1" in await log_again.topics()
        await log_again.close()
    assert not await answers(kafka)


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
