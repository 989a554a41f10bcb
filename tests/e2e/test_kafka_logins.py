"""Every way to log in to a cluster, from `CUSTODY_LOG__*` alone: appends and reads; or says what is wrong, in words.

What is wrong is a `LogUnavailableError`, since a person may be mending it: without the password or the token in it.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest
import pytest_asyncio

from broker import app, sources
from broker.core.errors import LogUnavailableError
from broker.core.ports import NewEntry
from broker.core.topics import Stream, TopicPartition, TopicSpec, topic_name
from broker.log.kafka.local import ClusterOptions, ClusterSecurity, KafkaCluster, Login
from tests.contract.event_log_kit import take
from tests.kafka_credentials import Certificates, TokenMaker
from tests.kafka_servers import private_kafka

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from broker.core.ports import EventLog

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT: Literal["scram-sha-256"] = "scram-sha-256"
LONG: Literal["scram-sha-512"] = "scram-sha-512"
REFUSAL = r"brokers refuse the login .*; check user and password, token, certificate and whom they trust"
PASSWORD = "only-for-tests-7f3a"
WRONG = "wrong-for-tests-91bc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """One for each protocol that proves something, and what proves it."""

    in_clear: KafkaCluster
    over_tls: KafkaCluster
    by_certificate: KafkaCluster
    mine: Certificates
    strangers: Certificates
    tokens: TokenMaker
    others_tokens: TokenMaker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clusters(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clusters]:
    mine = Certificates.make(tmp_path_factory.mktemp("mine"))
    strangers = Certificates.make(tmp_path_factory.mktemp("strangers"))
    folder = tmp_path_factory.mktemp("tokens")
    tokens, others = (TokenMaker(jwks_file=folder / name) for name in ("keys.json", "others.json"))
    tokens.publish()
    short, long = (Login(user="custody", password=PASSWORD, mechanism=one) for one in (SHORT, LONG))
    clear = ClusterSecurity(protocol="sasl_plaintext", mechanisms=(SHORT,), logins=(short,))
    tls = ClusterSecurity(
        protocol="sasl_ssl",
        mechanisms=(LONG, "oauthbearer"),
        logins=(long,),
        jwks_file=tokens.jwks_file,
        audience=tokens.audience,
        issuer=tokens.issuer,
        keystore_file=mine.keystore_file,
    )
    mutual = ClusterSecurity(protocol="ssl", keystore_file=mine.keystore_file, client_ca_file=mine.ca_file)
    async with (
        private_kafka(ClusterOptions(security=clear)) as in_clear,
        private_kafka(ClusterOptions(security=tls)) as over_tls,
        private_kafka(ClusterOptions(security=mutual)) as by_certificate,
    ):
        yield Clusters(
            in_clear=in_clear,
            over_tls=over_tls,
            by_certificate=by_certificate,
            mine=mine,
            strangers=strangers,
            tokens=tokens,
            others_tokens=others,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to log in: its settings, after `CUSTODY_LOG__`, and what its files hold."""

    cluster: KafkaCluster
    settings: Mapping[str, str]
    files: Mapping[str, str]

    async def open(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> EventLog:
        """Opens the log as the command does: from the environment and from nothing else."""
        for name in [one for one in os.environ if one.startswith("CUSTODY_")]:
            monkeypatch.delenv(name)
        common = {"kind": "kafka", "bootstrap": ",".join(self.cluster.bootstrap), "request_seconds": "10"}
        alone = {"replication": "1", "min_insync": "1"}
        held = {name: str(self.write(folder, name)) for name in self.files}
        for name, value in (common | alone | dict(self.settings) | held).items():
            monkeypatch.setenv(f"CUSTODY_LOG__{name.upper()}", value)
        return await app.open_log(sources.load(needs=["log"]))

    def write(self, folder: Path, name: str, held: str | None = None) -> Path:
        """Writes a file, or writes it anew."""
        path = folder / name
        path.write_text(f"{self.files[name] if held is None else held}\n")
        return path


def by_password(clusters: Clusters, *, user: str = "custody", password: str = PASSWORD) -> Way:
    return Way(
        cluster=clusters.in_clear,
        settings={"protocol": "sasl_plaintext", "mechanism": SHORT, "username": user},
        files={"password_file": password},
    )


def by_password_over_tls(clusters: Clusters, *, ca: Certificates | None = None, password: str = PASSWORD) -> Way:
    return Way(
        cluster=clusters.over_tls,
        settings={
            "protocol": "sasl_ssl",
            "mechanism": LONG,
            "username": "custody",
            "password": password,
            "ca_file": str((ca or clusters.mine).ca_file),
        },
        files={},
    )


def by_token(clusters: Clusters, token: str | None = None) -> Way:
    return Way(
        cluster=clusters.over_tls,
        settings={"protocol": "sasl_ssl", "mechanism": "oauthbearer", "ca_file": str(clusters.mine.ca_file)},
        files={"token_file": token or clusters.tokens.token("custody")},
    )


def by_certificate(clusters: Clusters, client: Certificates | None = None) -> Way:
    own = client or clusters.mine
    return Way(
        cluster=clusters.by_certificate,
        settings={
            "protocol": "ssl",
            "ca_file": str(clusters.mine.ca_file),
            "certificate_file": str(own.client_certificate_file),
            "key_file": str(own.client_key_file),
        },
        files={},
    )


def without_certificate(clusters: Clusters) -> Way:
    settings = {"protocol": "ssl", "ca_file": str(clusters.mine.ca_file)}
    return Way(cluster=clusters.by_certificate, settings=settings, files={})


RIGHT: Mapping[str, Callable[[Clusters], Way]] = {
    "SCRAM": by_password,
    "SCRAM over TLS": by_password_over_tls,
    "OAUTHBEARER": by_token,
    "mutual TLS": by_certificate,
}
REFUSED: Mapping[str, Callable[[Clusters], Way]] = {
    "a wrong password": lambda clusters: by_password(clusters, password=WRONG),
    "nobody's name": lambda clusters: by_password(clusters, user="nobody"),
    "a wrong password over TLS": lambda clusters: by_password_over_tls(clusters, password=WRONG),
    "a cluster that strangers vouch for": lambda clusters: by_password_over_tls(clusters, ca=clusters.strangers),
    "a token that others signed": lambda clusters: by_token(clusters, clusters.others_tokens.token("custody")),
    "a token past its end": lambda clusters: by_token(clusters, clusters.tokens.token("custody", seconds=-3600)),
    "a token for others": lambda clusters: by_token(clusters, clusters.tokens.token("custody", aud="others")),
    "a stranger's certificate": lambda clusters: by_certificate(clusters, clusters.strangers),
    "no certificate": without_certificate,
}


@pytest.mark.parametrize("way", RIGHT.values(), ids=RIGHT)
async def test_each_way_to_log_in_appends_and_reads(
    clusters: Clusters, way: Callable[[Clusters], Way], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = await way(clusters).open(monkeypatch, tmp_path)
    tenant = f"t-{secrets.token_hex(4)}"
    topic = topic_name(tenant, Stream.MESSAGES)
    try:
        await log.create_topics([TopicSpec(name=topic, partitions=1, retention_seconds=None)])
        await log.append([NewEntry(topic=topic, key=b"key", headers=(("ce_id", b"1"),), value=b"one")])
        (read,) = await log.read(TopicPartition(topic, 0), 0, max_entries=10)
        assert (read.key, read.event_id, read.value) == (b"key", "1", b"one")
        subscription = await log.subscribe(f"{tenant}.readers", [Stream.MESSAGES])
        fetched = await take(subscription, 1)
        while fetched[-1].topic != topic:  # another way's entries come first
            fetched += await take(subscription, 1)
        await subscription.commit({TopicPartition(topic, 0): 1})
        assert await log.committed(f"{tenant}.readers", [topic]) == {TopicPartition(topic, 0): 1}
    finally:
        await log.close()


@pytest.mark.parametrize("way", REFUSED.values(), ids=REFUSED)
async def test_what_the_brokers_refuse_is_named_without_a_secret(
    clusters: Clusters,
    way: Callable[[Clusters], Way],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = way(clusters)
    with pytest.raises(LogUnavailableError, match=REFUSAL) as told:
        await wrong.open(monkeypatch, tmp_path)
    assert (told.value.__cause__, told.value.__context__) == (None, None), "nor does the client's error travel along"
    said = f"{told.value!s} {told.value!r} {caplog.text}"
    for secret in (PASSWORD, WRONG, *wrong.files.values()):
        assert secret not in said


async def test_a_rotated_password_and_a_rotated_token_are_taken_up_at_the_next_connection(
    clusters: Clusters, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for way, name, wrong in (
        (by_password(clusters), "password_file", WRONG),
        (by_token(clusters), "token_file", clusters.others_tokens.token("custody")),
    ):
        log = await way.open(monkeypatch, tmp_path)
        try:
            await log.ping()
            way.write(tmp_path, name, wrong)
            await way.cluster.restart()  # whoever is connected has to log in anew
            with pytest.raises(LogUnavailableError):
                await log.ping()
            way.write(tmp_path, name)
            await log.ping()
        finally:
            await log.close()
