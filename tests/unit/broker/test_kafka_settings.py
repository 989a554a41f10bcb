"""The settings of a log on Kafka: what goes together, what does not, and what becomes of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from broker.core.errors import SettingsError
from broker.kafka_settings import KAFKA_SETTINGS, kafka_options
from broker.log.kafka.options import KafkaLogOptions, KafkaSecurity
from broker.settings import LogSettings
from broker.sources import load

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "hunter2hunter2"
KAFKA = {"KIND": "kafka", "BOOTSTRAP": "one.example:9092, [::1]:9093"}
SCRAM = {**KAFKA, "PROTOCOL": "sasl_ssl", "MECHANISM": "scram-sha-512", "USERNAME": "custody", "PASSWORD": SECRET}
BEARER = {**KAFKA, "PROTOCOL": "sasl_ssl", "MECHANISM": "oauthbearer"}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in os.environ if one.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)


def given(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name if name.startswith("CUSTODY_") else f"CUSTODY_LOG__{name}", value)


def findings(*needs: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(needs=needs)
    return caught.value.findings


WRONG: list[tuple[Mapping[str, str], str, str]] = [
    ({"KIND": "kafka"}, "BOOTSTRAP", "is missing; for example CUSTODY_LOG__BOOTSTRAP=kafka-1.example.org:9092"),
    (
        KAFKA | {"BOOTSTRAP": "one"},
        "BOOTSTRAP",
        "is not the host:port of a broker; for example CUSTODY_LOG__BOOTSTRAP=",
    ),
    (KAFKA | {"BOOTSTRAP": "one:9092,two:0"}, "BOOTSTRAP", "is not the host:port"),
    (KAFKA | {"BOOTSTRAP": "kafka://one:9092"}, "BOOTSTRAP", "is not the host:port"),
    (KAFKA | {"PROTOCOL": "tls"}, "PROTOCOL", "is not one of 'plaintext', 'ssl', 'sasl_plaintext' or 'sasl_ssl'"),
    (KAFKA | {"MECHANISM": "plain"}, "MECHANISM", "is not one of 'scram-sha-256', 'scram-sha-512' or 'oauthbearer'"),
    (KAFKA | {"PROTOCOL": "sasl_ssl"}, "MECHANISM", "is missing, and sasl_ssl needs one; for example"),
    (BEARER | {"PROTOCOL": "ssl"}, "MECHANISM", "is not used with ssl: leave it out, or make protocol sasl_ssl"),
    (SCRAM | {"USERNAME": ""}, "USERNAME", "is missing, and scram-sha-512 needs it; for example"),
    (
        SCRAM | {"PASSWORD": ""},
        "PASSWORD",
        "is missing, and so is password_file; for example CUSTODY_LOG__PASSWORD=secret",
    ),
    (SCRAM | {"PASSWORD_FILE": __file__}, "PASSWORD", "is given beside password_file: leave one of them out"),
    (SCRAM | {"PASSWORD": "", "PASSWORD_FILE": "/nowhere"}, "PASSWORD_FILE", "can't be used: no such file"),
    (SCRAM | {"PASSWORD": "", "PASSWORD_FILE": "/dev/null"}, "PASSWORD_FILE", "can't be used: it holds no text"),
    (SCRAM | {"TOKEN_FILE": __file__}, "TOKEN_FILE", "is not used with scram-sha-512"),
    (BEARER, "TOKEN_FILE", "is missing, and oauthbearer needs it; for example CUSTODY_LOG__TOKEN_FILE=/run/secrets"),
    (BEARER | {"TOKEN_FILE": __file__, "PASSWORD": SECRET}, "PASSWORD", "is not used with oauthbearer"),
    (KAFKA | {"USERNAME": "custody"}, "USERNAME", "is not used with plaintext"),
    (KAFKA | {"CA_FILE": __file__}, "CA_FILE", "is not used with plaintext: leave it out, or make protocol ssl or"),
    (KAFKA | {"PROTOCOL": "ssl", "CERTIFICATE_FILE": __file__}, "KEY_FILE", "is missing beside certificate_file"),
    (KAFKA | {"PROTOCOL": "ssl", "KEY_FILE": __file__}, "CERTIFICATE_FILE", "is missing beside key_file"),
    (KAFKA | {"PROTOCOL": "ssl", "CA_FILE": "/nowhere"}, "CA_FILE", "can't be used: no such file"),
    (KAFKA | {"REPLICATION": "1"}, "MIN_INSYNC", "is more than the 1 replicas there are to be; for example"),
    (KAFKA | {"REPLICATION": "0"}, "REPLICATION", "is too small: at least 1"),
    (KAFKA | {"DSN": f"postgresql://u:{SECRET}@h/d"}, "DSN", "is for a log of kind postgres, and this one is kafka"),
    (KAFKA | {"POOL_SIZE": "8"}, "POOL_SIZE", "is for a log of kind postgres, and this one is kafka"),
    (
        BEARER | {"PROTOCOL": "sasl_plaintext", "TOKEN_FILE": __file__, "CUSTODY_PROFILE": "production"},
        "PROTOCOL",
        "shows the token to whoever is on the way, which production refuses; for example CUSTODY_LOG__PROTOCOL=sasl",
    ),
]


@pytest.mark.parametrize(("settings", "name", "what"), WRONG)
def test_what_does_not_go_together_is_one_line(
    monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str], name: str, what: str
) -> None:
    given(monkeypatch, settings)
    (line,) = findings("log")
    assert line.startswith(f"CUSTODY_LOG__{name}: ")
    assert what in line
    assert "; for example " in line
    assert SECRET not in line


@pytest.mark.parametrize("name", sorted(KAFKA_SETTINGS))
def test_what_is_kafkas_is_refused_for_a_log_on_postgres(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    examples = LogSettings.model_fields[name].examples or []
    given(monkeypatch, {"DSN": "postgresql://u:p@h/d", name.upper(): str(examples[0])})
    (line,) = findings("log")
    assert line.startswith(f"CUSTODY_LOG__{name.upper()}: is for a log of kind kafka, and this one is postgres")
    assert line.endswith("; for example CUSTODY_LOG__KIND=kafka")


def test_a_kafka_of_ones_own_is_for_a_log_on_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {"CUSTODY_EMBEDDED__KAFKA_DIRECTORY": "/var/lib/kafka"})
    (line,) = findings()
    assert line.startswith("CUSTODY_EMBEDDED__KAFKA_DIRECTORY: is for a log of kind kafka")
    given(monkeypatch, KAFKA)
    assert load(needs=["log"]).embedded.kafka_directory == Path("/var/lib/kafka")


def test_everything_wrong_is_told_at_once_and_named_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        '[log]\nkind = "kafka"\nbootstrap = ["one.example:9092"]\nprotocol = "sasl_ssl"\nmechanism = "scram-sha-256"\n'
        'certificate_file = "client.pem"\nmin_insync = 4\ndsn = "postgresql://u:p@h/d"\n'
    )
    monkeypatch.setenv("CUSTODY_SETTINGS", str(file))
    (line,) = findings("log")
    assert line.startswith("log.dsn in settings.toml: is for a log of kind postgres, and this one is kafka")
    assert line.endswith('; for example log.kind = "postgres"')
    file.write_text(file.read_text().rpartition("dsn = ")[0])
    assert [one.partition(":")[0] for one in findings("log")] == [
        "log.min_insync in settings.toml",
        "CUSTODY_LOG__USERNAME",
        "CUSTODY_LOG__PASSWORD",
        "CUSTODY_LOG__KEY_FILE",
        "CUSTODY_LOG__CERTIFICATE_FILE",
    ]


def test_a_command_that_needs_no_log_does_not_ask_for_its_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {"KIND": "kafka"})
    settings = load(needs=[])
    assert settings.databases == ("records", "blobs")


def test_a_right_way_to_a_cluster_becomes_the_options_of_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("ca.pem", "client.pem", "client.key"):
        (tmp_path / name).write_text("PEM")
    files = {
        "CA_FILE": str(tmp_path / "ca.pem"),
        "CERTIFICATE_FILE": str(tmp_path / "client.pem"),
        "KEY_FILE": str(tmp_path / "client.key"),
    }
    given(monkeypatch, SCRAM | files | {"INSTANCE": "custody-0", "SESSION_SECONDS": "12", "REPLICATION": "5"})
    options = kafka_options(load(needs=["log"]).log)
    assert options.bootstrap == ("one.example:9092", "[::1]:9093")
    assert (options.instance, options.session_seconds, options.replication) == ("custody-0", 12, 5)
    assert options.security.password is not None
    assert options.security.password() == SECRET
    assert options.security == KafkaSecurity(
        protocol="sasl_ssl",
        mechanism="scram-sha-512",
        username="custody",
        password=options.security.password,
        ca_file=tmp_path / "ca.pem",
        certificate_file=tmp_path / "client.pem",
        key_file=tmp_path / "client.key",
    )
    assert SECRET not in repr(options)


def test_the_defaults_are_those_of_the_log() -> None:
    settings = LogSettings(kind="kafka", bootstrap=("one.example:9092",))
    assert kafka_options(settings) == KafkaLogOptions(bootstrap=("one.example:9092",))


def test_a_rotated_secret_is_read_at_the_next_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    password, token = tmp_path / "password", tmp_path / "token"
    password.write_text(" first \n")
    given(monkeypatch, SCRAM | {"PASSWORD": "", "PASSWORD_FILE": str(password)})
    ask = kafka_options(load(needs=["log"]).log).security.password
    assert ask is not None
    assert ask() == " first "
    password.write_text("second\r\n")
    assert ask() == "second"
    password.unlink()
    with pytest.raises(OSError, match="No such file"):
        ask()
    token.write_text("one.two.three\n")
    settings = LogSettings(kind="kafka", mechanism="oauthbearer", protocol="sasl_ssl", token_file=token)
    tell = kafka_options(settings).security.token
    assert tell is not None
    assert tell() == "one.two.three"


def test_settings_show_no_password() -> None:
    settings = LogSettings(kind="kafka", password=SecretStr(SECRET))
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
