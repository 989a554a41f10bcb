"""Settings from outside: what wins, what is refused, and in which words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from broker.addresses import DSN_EXAMPLE
from broker.core.errors import SettingsError
from broker.settings import LogSettings, Profile, Settings
from broker.sources import load, load_file

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hunter2hunter2"
DSN = f"postgresql://custody:{SECRET}@db.example/custody"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in os.environ if one.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)


def findings(*needs: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(needs=needs)
    return caught.value.findings


WRONG = [
    ("CUSTODY_PROFILE", "prod", "is not one of 'development', 'demo' or 'production'", "CUSTODY_PROFILE=production"),
    ("CUSTODY_PARTITIONS", "many", "is not a whole number", "CUSTODY_PARTITIONS=4"),
    ("CUSTODY_PARTITIONS", "0", "is too small: at least 1", "CUSTODY_PARTITIONS=4"),
    ("CUSTODY_RETENTION_DAYS", "99999", "is too large: at most 3650", "CUSTODY_RETENTION_DAYS=14"),
    ("CUSTODY_LOG__KIND", "rabbit", "is not one of 'postgres' or 'kafka'", "CUSTODY_LOG__KIND=postgres"),
    ("CUSTODY_LOG__DSN", f"mysql://u:{SECRET}@h/d", "is not a postgresql:// address", "CUSTODY_LOG__DSN=postgresql://"),
    ("CUSTODY_LOG__DSN", f"postgresql://u:{SECRET}@/", "names no host", "CUSTODY_LOG__DSN=postgresql://"),
    ("CUSTODY_LOG__DSN", f"postgresql://u:{SECRET}@h", "names no database", "CUSTODY_LOG__DSN=postgresql://"),
    ("CUSTODY_LOG__DSN", f"postgresql://u:{SECRET}@h:x/d", "is not an address", "CUSTODY_LOG__DSN=postgresql://"),
    ("CUSTODY_LOG__DNS", SECRET, "is not a setting, did you mean CUSTODY_LOG__DSN?", "CUSTODY_LOG__DSN="),
    ("CUSTODY_EDGE_PORT", "80", "is not a setting, did you mean CUSTODY_EDGE__PORT?", "CUSTODY_EDGE__PORT=8400"),
    ("CUSTODY_EDGE", "80", "is a group of settings", "CUSTODY_EDGE__HOST="),
    ("CUSTODY_EDGE__BODY_BYTES", "1", "is too small", "CUSTODY_EDGE__BODY_BYTES=4000000"),
    ("CUSTODY_EDGE__READ_SECONDS", "soon", "is not a number", "CUSTODY_EDGE__READ_SECONDS=20"),
    ("CUSTODY_LOG__ALLOW_UNSAFE_SERVER", "perhaps", "is neither true nor false", "CUSTODY_LOG__ALLOW_UNSAFE_SERVER="),
    ("CUSTODY_WHATSAPP_CLOUD__GRAPH_URL", "ftp://x", "is not the http or https address", "=https://graph.facebook.com"),
    ("CUSTODY_WHATSAPP_CLOUD__EXTRA_MEDIA_HOSTS", "a, b/c", "holds something that is not a host", "=media.example"),
    ("CUSTODY_WORKERS__MEDIA_CONCURRENCY", "0", "is too small: at least 1", "CUSTODY_WORKERS__MEDIA_CONCURRENCY=8"),
    ("CUSTODY_SETTINGS", "/nowhere/settings.toml", "can't be read: no such file", "/etc/custody/settings.toml"),
    ("CUSTODY_SECRETS_DIR", "/nowhere", "is not a folder", "/run/secrets/custody"),
]


@pytest.mark.parametrize(("name", "value", "what", "example"), WRONG)
def test_a_wrong_setting_is_one_line_with_its_name_what_is_wrong_and_an_example(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, what: str, example: str
) -> None:
    monkeypatch.setenv(name, value)
    (line,) = findings()
    assert line.startswith(f"{name}: ")
    assert what in line
    assert f"; for example {example}" in line or example in line.partition("; for example ")[2]
    assert "\n" not in line
    assert SECRET not in line


def test_everything_wrong_and_missing_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_LOG__DSN", f"http://{SECRET}")
    monkeypatch.setenv("CUSTODY_EDGE__PORT", "http")
    monkeypatch.setenv("CUSTODY_REGISTY", "x")
    told = findings("log", "records", "blobs", "registry")
    assert [line.partition(":")[0] for line in told] == [
        "CUSTODY_REGISTY",
        "CUSTODY_LOG__DSN",
        "CUSTODY_EDGE__PORT",
        "CUSTODY_RECORDS__DSN",
        "CUSTODY_BLOBS__DSN",
        "CUSTODY_REGISTRY",
    ]


def test_no_error_quotes_a_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f'[log]\ndsn = ["{SECRET}"]\n[records]\n{SECRET[:7]} = "{SECRET}"\n')
    monkeypatch.setenv("CUSTODY_SETTINGS", str(file))
    monkeypatch.setenv("CUSTODY_BLOBS__DSN", SECRET)
    monkeypatch.setenv("CUSTODY_EDGE", SECRET)
    with pytest.raises(SettingsError) as caught:
        load()
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_broken_file_is_told_by_place_and_not_by_what_it_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f"[log]\ndsn {SECRET}\n")
    monkeypatch.setenv("CUSTODY_SETTINGS", str(file))
    (line,) = findings()
    assert "settings.toml is not TOML (at line 2, column 5)" in line
    assert SECRET not in line


def test_a_setting_from_the_file_is_named_as_it_stands_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[edge]\nport = "x"\n[log]\ndsnn = "y"\n')
    monkeypatch.setenv("CUSTODY_SETTINGS", str(file))
    assert findings() == [
        (
            "log.dsnn in settings.toml: is not a name known here, did you mean log.dsn?"
            f'; for example log.dsn = "{DSN_EXAMPLE}"'
        ),
        "edge.port in settings.toml: is not a whole number; for example edge.port = 8400",
    ]


def test_the_environment_goes_over_secret_files_and_those_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "settings.toml").write_text(
        'partitions = 7\n[log]\ndsn = "postgresql://file@h/d"\npool_size = 9\n[edge]\nport = 1\n'
    )
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "CUSTODY_LOG__DSN").write_text("postgresql://folder@h/d\n")
    monkeypatch.setenv("CUSTODY_SETTINGS", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("CUSTODY_SECRETS_DIR", str(folder))
    monkeypatch.setenv("CUSTODY_EDGE__PORT", "2")
    settings = load()
    assert (settings.address("log"), settings.log.pool_size, settings.edge.port, settings.partitions) == (
        "postgresql://folder@h/d",
        9,
        2,
        7,
    )
    monkeypatch.setenv("CUSTODY_LOG__DSN", "postgresql://environment@h/d")
    assert load().address("log") == "postgresql://environment@h/d"


def test_an_address_may_lie_in_a_file_named_from_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "dsn").write_text(f"{DSN}\n")
    (tmp_path / "settings.toml").write_text('registry = "custody.toml"\n[records]\ndsn_file = "dsn"\n')
    settings = load_file(tmp_path / "settings.toml")
    assert settings.address("records") == DSN
    assert settings.registry == tmp_path / "custody.toml"


@pytest.mark.parametrize(
    ("content", "what"),
    [(None, "can't be read: no such file"), ("", "is not a postgresql:// address"), (SECRET, "is not a postgresql://")],
)
def test_a_file_without_an_address_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None, what: str
) -> None:
    file = tmp_path / "dsn"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("CUSTODY_LOG__DSN_FILE", str(file))
    (line,) = findings("log")
    assert line.startswith("CUSTODY_LOG__DSN_FILE: ")
    assert what in line
    assert SECRET not in line


def test_an_address_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_LOG__DSN", DSN)
    monkeypatch.setenv("CUSTODY_LOG__DSN_FILE", "/x")
    (line,) = findings("log")
    assert line.startswith("CUSTODY_LOG: has both dsn and dsn_file")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CUSTODY_WHATSAPP_CLOUD__GRAPH_URL", "http://127.0.0.1:9000/v25.0"),
        ("CUSTODY_WHATSAPP_CLOUD__EXTRA_MEDIA_HOSTS", "http://127.0.0.1:9000"),
        ("CUSTODY_RECORDS__ALLOW_UNSAFE_SERVER", "true"),
        ("CUSTODY_SEED", "7"),
    ],
)
def test_production_refuses_what_is_for_trying_out(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert load().profile is Profile.DEVELOPMENT
    monkeypatch.setenv("CUSTODY_PROFILE", "production")
    (line,) = findings()
    assert line.startswith(f"{name}: ")
    assert "production" in line


def test_variables_that_kubernetes_makes_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("CUSTODY_SERVICE_HOST", "10.0.0.1"),
        ("CUSTODY_EDGE_SERVICE_PORT_HTTP", "80"),
        ("CUSTODY_EDGE_PORT", "tcp://10.0.0.1:80"),
        ("CUSTODY_PORT_80_TCP_ADDR", "10.0.0.1"),
    ):
        monkeypatch.setenv(name, value)
    assert load() == Settings()


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_WHATSAPP_CLOUD__EXTRA_MEDIA_HOSTS", "a.example, b.example:8443")
    assert load().whatsapp_cloud.extra_media_hosts == ("a.example", "b.example:8443")


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_EDGE__PORT", "")
    monkeypatch.setenv("CUSTODY_REGISTRY", "")
    assert load() == Settings()


def test_records_have_their_time_limits_on_postgres_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_RECORDS__CONNECT_TIMEOUT_SECONDS", "3")
    monkeypatch.setenv("CUSTODY_RECORDS__COMMAND_TIMEOUT_SECONDS", "7")
    records = load().records
    assert (records.connect_timeout_seconds, records.command_timeout_seconds) == (3, 7)
    monkeypatch.setenv("CUSTODY_BLOBS__CONNECT_TIMEOUT_SECONDS", "3")  # of S3 alone
    (line,) = findings()
    assert line.startswith("CUSTODY_BLOBS__CONNECT_TIMEOUT_SECONDS: is not for blobs on PostgreSQL")


def test_settings_show_no_secret() -> None:
    settings = Settings(log=LogSettings(dsn=SecretStr(DSN)))
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert settings.address("log") == DSN
