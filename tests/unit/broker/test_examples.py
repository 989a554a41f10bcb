"""The examples can be used as they are, once the secrets they name are there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from broker.registry import read_registry
from broker.sources import load
from tests.unit.broker.registry_files import KEY

ROOT = Path(__file__).parents[3]


def test_the_registry_example_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "deploy/examples/custody.toml").read_text()
    (tmp_path / "secrets").mkdir()
    for name in re.findall(r'"secrets/([^"]+)"', text):
        path = tmp_path / "secrets" / name
        path.touch(mode=0o600)
        path.write_text(KEY if name.endswith(".key") else "a-secret")
    monkeypatch.setenv("ACME_SERVICE_TOKEN", "a-token")
    (tmp_path / "custody.toml").write_text(text)
    reading = read_registry(tmp_path / "custody.toml")
    assert reading.findings == ()
    assert reading.registry is not None
    assert sorted(reading.registry.accounts) == ["acme-claims", "acme-service"]


def test_the_settings_example_is_right_with_and_without_its_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in os.environ if one.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)
    text = (ROOT / "deploy/examples/custody.env").read_text()
    for name, value in re.findall(r"^(?:# )?(CUSTODY_[A-Z_]+)=(.*)$", text, re.MULTILINE):
        monkeypatch.setenv(name, value)
    settings = load()
    assert (settings.profile, settings.edge.host) == ("production", "0.0.0.0")  # noqa: S104 - as the example has it
    assert settings.log.admin_dsn_file == Path("/run/secrets/custody-admin/log-dsn")


@pytest.mark.parametrize("commented", [False, True])
def test_the_example_of_a_settings_file_says_what_that_of_variables_says(
    commented: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [one for one in os.environ if one.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)
    text = (ROOT / "deploy/examples/settings.toml").read_text()
    path = tmp_path / "settings.toml"
    path.write_text(re.sub(r"^# ([a-z_]+ = )", r"\1", text, flags=re.MULTILINE) if commented else text)
    with monkeypatch.context() as in_file:
        in_file.setenv("CUSTODY_SETTINGS", str(path))
        from_file = load()
    before = "(?:# )?" if commented else ""
    variables = (ROOT / "deploy/examples/custody.env").read_text()
    for name, value in re.findall(rf"^{before}(CUSTODY_[A-Z_]+)=(.*)$", variables, re.MULTILINE):
        monkeypatch.setenv(name, value)
    assert from_file == load()


def test_the_example_of_a_log_on_kafka_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in os.environ if one.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)
    text = (ROOT / "deploy/examples/custody-kafka.env").read_text()
    for name, value in re.findall(r"^(CUSTODY_[A-Z_]+)=(.*)$", text, re.MULTILINE):
        monkeypatch.setenv(name, value)
    settings = load()
    assert (settings.log.kind, len(settings.log.bootstrap), settings.log.mechanism) == ("kafka", 3, "scram-sha-512")


@pytest.mark.parametrize("commented", [False, True])
def test_the_example_of_stores_on_mongodb_and_s3_is_right(commented: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in os.environ if one.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)
    text = (ROOT / "deploy/examples/custody-s3-mongo.env").read_text()
    before = "(?:# )?" if commented else ""
    for name, value in re.findall(rf"^{before}(CUSTODY_[A-Z_]+)=(.*)$", text, re.MULTILINE):
        monkeypatch.setenv(name, value)
    settings = load()
    assert (settings.kind("records"), settings.kind("blobs"), settings.blobs.lock_days) == ("mongo", "s3", 1825)
    assert ("acme" in settings.blobs.tenant_buckets) == commented
