"""Each way to log in to a local cluster, by a plain client: the right credential is let in, and a wrong one is not."""

from __future__ import annotations

import logging
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from broker.log.kafka.local import ClusterOptions, ClusterSecurity, KafkaCluster, Login
from tests.kafka_clients import admin_client, allow, make_topic, read, send
from tests.kafka_credentials import Certificates, TokenMaker, unsigned_token
from tests.kafka_servers import private_kafka

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.usefixtures("local_kafka_here")

TOPIC = "letters"
ANN = Login(user="ann", password='pass, "word" = 1')
BOB = Login(user="bob", password="other", mechanism="scram-sha-256")


class Token(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka ships no types
    """Hands out the token it was given."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token


@pytest.fixture(autouse=True)
def quiet_client(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="aiokafka")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="custody-test-", dir="/var/tmp") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def certificates(folder: Path) -> Certificates:
    return Certificates.make(folder)


@pytest.fixture(scope="module")
def tokens(folder: Path) -> TokenMaker:
    maker = TokenMaker(jwks_file=folder / "jwks.json")
    maker.publish()
    return maker


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def with_passwords() -> AsyncIterator[KafkaCluster]:
    """SASL without TLS: SCRAM of both sizes, unsigned tokens; and ACLs, which let bob read and nobody else."""
    security = ClusterSecurity(
        protocol="sasl_plaintext",
        mechanisms=("scram-sha-256", "scram-sha-512", "oauthbearer"),
        logins=(ANN, BOB),
        acls=True,
        super_users=("User:ann", "User:carol"),
    )
    async with private_kafka(ClusterOptions(security=security)) as cluster:
        await make_topic(cluster.admin_bootstrap, TOPIC)
        await allow(cluster.admin_bootstrap, "User:bob", "lett", "read")
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def with_tls(certificates: Certificates, tokens: TokenMaker) -> AsyncIterator[KafkaCluster]:
    """SASL with TLS: SCRAM, and signed tokens."""
    security = ClusterSecurity(
        protocol="sasl_ssl",
        mechanisms=("scram-sha-512", "oauthbearer"),
        logins=(ANN,),
        jwks_file=tokens.jwks_file,
        audience=tokens.audience,
        issuer=tokens.issuer,
        keystore_file=certificates.keystore_file,
    )
    async with private_kafka(ClusterOptions(security=security)) as cluster:
        await make_topic(cluster.admin_bootstrap, TOPIC)
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def with_client_certificates(certificates: Certificates) -> AsyncIterator[KafkaCluster]:
    """Mutual TLS, and ACLs that let the one client do both."""
    security = ClusterSecurity(
        protocol="ssl",
        keystore_file=certificates.keystore_file,
        client_ca_file=certificates.ca_file,
        acls=True,
    )
    settings = {"ssl.principal.mapping.rules": r"RULE:^.*CN=([^,]+).*$/$1/"}
    async with private_kafka(ClusterOptions(security=security, settings=settings)) as cluster:
        await make_topic(cluster.admin_bootstrap, TOPIC)
        await allow(cluster.admin_bootstrap, f"User:{certificates.client_name}", TOPIC, "read")
        yield cluster


def scram(login: Login, **other: object) -> dict[str, Any]:
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": login.mechanism.upper(),
        "sasl_plain_username": login.user,
        "sasl_plain_password": login.password,
    } | other


def bearer(token: str, **other: object) -> dict[str, Any]:
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "OAUTHBEARER",
        "sasl_oauth_token_provider": Token(token),
    } | other


async def is_refused(cluster: KafkaCluster, **login: object) -> bool:
    """Whether a login fails.

    Asked as an administrator: aiokafka's producer and consumer don't see that a token is refused, and wait for ever.
    """
    try:
        async with admin_client(cluster.bootstrap, **login) as admin:
            return not await admin.list_topics()
    except KafkaError:
        return True


async def test_scram_lets_in_who_knows_the_password(with_passwords: KafkaCluster) -> None:
    await send(with_passwords.bootstrap, TOPIC, b"one", **scram(ANN))
    assert (await read(with_passwords.bootstrap, TOPIC, **scram(ANN)))[:1] == [b"one"]
    assert await is_refused(with_passwords, **scram(ANN, sasl_plain_password="wrong"))


async def test_an_acl_lets_its_principal_do_that_much(with_passwords: KafkaCluster) -> None:
    await read(with_passwords.bootstrap, TOPIC, **scram(BOB))
    with pytest.raises(TopicAuthorizationFailedError):
        await send(with_passwords.bootstrap, TOPIC, b"two", **scram(BOB, enable_idempotence=False, acks=1))


async def test_an_unsigned_token_is_taken_where_no_keys_are_given(with_passwords: KafkaCluster) -> None:
    await send(with_passwords.bootstrap, TOPIC, b"three", **bearer(unsigned_token("carol")))
    assert await is_refused(with_passwords, **bearer(unsigned_token("carol", seconds=-3600)))


async def test_no_password_stands_in_a_file_or_a_command_line_of_the_cluster(with_passwords: KafkaCluster) -> None:
    written = [one for one in with_passwords.root.rglob("*") if one.is_file()]
    assert len(written) > 5
    assert not [one for one in written if ANN.password.encode() in one.read_bytes()]


async def test_a_signed_token_is_taken_and_no_other(
    with_tls: KafkaCluster, certificates: Certificates, tokens: TokenMaker
) -> None:
    tls = {"security_protocol": "SASL_SSL", "ssl_context": certificates.context()}
    await send(with_tls.bootstrap, TOPIC, b"one", **bearer(tokens.token("carol"), **tls))
    refused = [
        unsigned_token("carol"),
        tokens.token("carol", seconds=-3600),
        tokens.token("carol", aud="somebody else"),
        tokens.token("carol", iss="https://elsewhere.example.org"),
        TokenMaker(jwks_file=tokens.jwks_file).token("carol"),
    ]
    for token in refused:
        assert await is_refused(with_tls, **bearer(token, **tls))
    assert await read(with_tls.bootstrap, TOPIC, **bearer(tokens.token("carol"), **tls)) == [b"one"]


async def test_tls_shows_who_the_brokers_are(with_tls: KafkaCluster, certificates: Certificates) -> None:
    await read(
        with_tls.bootstrap, TOPIC, **scram(ANN, security_protocol="SASL_SSL", ssl_context=certificates.context())
    )
    stranger = ssl.create_default_context()
    assert await is_refused(with_tls, **scram(ANN, security_protocol="SASL_SSL", ssl_context=stranger))


async def test_mutual_tls_lets_in_who_has_a_certificate(
    with_client_certificates: KafkaCluster, certificates: Certificates
) -> None:
    bootstrap = with_client_certificates.bootstrap
    await send(with_client_certificates.admin_bootstrap, TOPIC, b"one")
    client = {"security_protocol": "SSL", "ssl_context": certificates.context(as_client=True)}
    assert await read(bootstrap, TOPIC, **client) == [b"one"]
    assert await is_refused(with_client_certificates, security_protocol="SSL", ssl_context=certificates.context())
