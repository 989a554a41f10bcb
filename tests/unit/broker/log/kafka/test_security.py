from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from broker.core.errors import SettingsError
from broker.log.kafka import KafkaLog, KafkaLogOptions, KafkaSecurity
from broker.log.kafka.security import client_security, faststream_security


def test_a_password_is_asked_for_at_each_login_and_shown_to_nobody() -> None:
    secrets = iter(["first", "second"])
    security = KafkaSecurity(
        protocol="sasl_plaintext", mechanism="scram-sha-512", username="custody", password=lambda: next(secrets)
    )
    arguments = client_security(security)
    assert arguments["sasl_mechanism"] == "SCRAM-SHA-512"
    password = arguments["sasl_plain_password"]
    assert [password.encode("utf-8"), password.encode("utf-8")] == [b"first", b"second"]
    assert "first" not in repr(arguments)
    assert "second" not in repr(arguments)


async def test_a_token_is_asked_for_at_each_login() -> None:
    tokens = iter(["one", "two"])
    security = KafkaSecurity(protocol="sasl_plaintext", mechanism="oauthbearer", token=lambda: next(tokens))
    provider = client_security(security)["sasl_oauth_token_provider"]
    assert [await provider.token(), await provider.token()] == ["one", "two"]


@pytest.mark.parametrize(
    ("security", "finding"),
    [
        (KafkaSecurity(protocol="sasl_ssl"), "log.security.mechanism"),
        (KafkaSecurity(mechanism="scram-sha-256"), "log.security.mechanism"),
        (KafkaSecurity(protocol="sasl_ssl", mechanism="oauthbearer"), "log.security.token"),
        (
            KafkaSecurity(protocol="sasl_ssl", mechanism="scram-sha-256", username="a"),
            "log.security.username, password",
        ),
        (KafkaSecurity(protocol="ssl", key_file=Path("key.pem")), "log.security.certificate_file, key_file"),
        (KafkaSecurity(protocol="ssl", ca_file=Path("/nowhere/ca.pem")), "log.security.ca_file: /nowhere/ca.pem"),
    ],
)
def test_what_can_not_work_is_named_with_an_example(security: KafkaSecurity, finding: str) -> None:
    with pytest.raises(SettingsError, match=finding):
        faststream_security(security)


@pytest.mark.parametrize("address", ["kafka:port", "", "kafka:0", ":9092"])
async def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(SettingsError, match=r"log\.bootstrap"):
        await KafkaLog.open(KafkaLogOptions(bootstrap=(address,)))
    await asyncio.sleep(0)  # nothing was opened that would complain
