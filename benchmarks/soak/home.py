"""Settings and registry for `custody run`, of the one tenant that the traffic is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import tenant
from benchmarks.logs import LogAt, LogKind
from broker.demo.home import to_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.stage import Place


def write_settings(folder: Path, *, log: LogAt, records: Place, blobs: Place, port: int) -> Path:
    """Writes them to a folder of their own; where the settings are."""
    settings = folder / "settings.toml"
    _private(folder / "custody.toml", to_toml(_registry(folder)))
    document = {
        "profile": "development",
        "registry": "custody.toml",
        "store": "postgres",
        "log": _log(log),
        "records": {"dsn": records.dsn},
        "blobs": {"dsn": blobs.dsn},
        "edge": {"port": port},
        "telemetry": {"log_level": "warning"},
    }
    _private(settings, to_toml(document))
    return settings


def _log(at: LogAt) -> Mapping[str, object]:
    if at.kind is LogKind.KAFKA:  # one broker has one replica
        return {"kind": "kafka", "bootstrap": [at.address], "replication": 1, "min_insync": 1}
    return {"dsn": at.address}


def _registry(folder: Path) -> Mapping[str, object]:
    known = tenant.registry()
    app, account = known.apps[tenant.APP], known.accounts["claims"]
    secrets = {
        "tenant.key": bytes(range(32)).hex(),
        "app.secret": app.secrets[0].decode("ascii"),
        "verify.token": app.verify_token,
        "account.token": account.token,
    }
    for name, secret in secrets.items():
        _private(folder / name, secret)
    return {
        "tenants": {app.tenant: {"zone": "UTC", "key_file": "tenant.key"}},
        "apps": {
            app.name: {
                "provider": app.provider,
                "tenant": app.tenant,
                "app_id": app.app_id,
                "secret_files": ["app.secret"],
                "verify_token_file": "verify.token",
            }
        },
        "accounts": {
            account.name: {
                "tenant": account.tenant,
                "app": account.app,
                "id": account.id,
                "group": account.group,
                "token_file": "account.token",
            }
        },
    }


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
