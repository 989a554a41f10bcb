"""The folder of a demo: one settings file, one registry, secrets, and the simulated provider's settings.

The same numbers stand in the registry and in the simulator's settings. Secrets are made from the seed and open nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from broker.core.errors import SettingsError
from connectors.simulator.config import DeliveryConfig, SimulatorConfig
from connectors.simulator.sample import sample

MARKER = ".custody-demo"
TENANTS = ("umbrella", "harbour")
ROLES = ("log", "records", "blobs")
PROVIDER = "whatsapp_cloud"

Log = Literal["postgres", "kafka"]
LOGS: tuple[Log, ...] = ("postgres", "kafka")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Free ports, found before anything starts."""

    postgres: int
    edge: int
    simulator: int
    kafka: int

    @classmethod
    def free(cls) -> Ports:
        """Ports that nothing listens on now."""
        listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
        ports = [one.getsockname()[1] for one in listeners]
        for one in listeners:
            one.close()
        return cls(postgres=ports[0], edge=ports[1], simulator=ports[2], kafka=ports[3])


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoHome:
    """Where a demo's files lie, and what is in them."""

    root: Path
    seed: int
    ports: Ports
    log: Log
    simulator: SimulatorConfig = field(repr=False)
    repeatable: bool = False

    @classmethod
    def make(cls, root: Path, *, seed: int, ports: Ports, log: Log = "postgres", repeatable: bool = False) -> DemoHome:
        """Lays the folder out afresh. `SettingsError` when it holds something that is not a demo's.

        `repeatable`: salts and ids come from the seed, and nothing that webhooks say depends on time or ports.
        """
        _clear(root)
        config = _placed(sample(companies=len(TENANTS), seed=seed), ports, seed)
        config = _in_order(config) if repeatable else config
        home = cls(root=root, seed=seed, ports=ports, log=log, simulator=config, repeatable=repeatable)
        home.secrets.mkdir(mode=0o700)
        home._write()
        return home

    @property
    def secrets(self) -> Path:
        """The folder of keys, tokens and passwords."""
        return self.root / "secrets"

    @property
    def settings_file(self) -> Path:
        """What `CUSTODY_SETTINGS` is set to."""
        return self.root / "settings.toml"

    @property
    def simulator_file(self) -> Path:
        """The simulated provider's settings, secrets included."""
        return self.root / "simulator.toml"

    @property
    def postgres(self) -> Path:
        """The embedded server's folder."""
        return self.root / "postgres"

    @property
    def kafka(self) -> Path:
        """The embedded Kafka's folder, where the log is one."""
        return self.root / "kafka"

    @property
    def control_token(self) -> str:
        """What opens the simulator's control calls."""
        return self.secret("control")

    def secret(self, name: str) -> str:
        """A secret made from the seed."""
        return hashlib.sha256(f"custody/demo/{self.seed}/{name}".encode()).hexdigest()

    def dsn(self, role: str) -> str:
        """The address of a database as the role that Custody uses in production too."""
        return f"postgresql://demo_{role}:{self.secret(role)}@127.0.0.1:{self.ports.postgres}/custody_{role}"

    def _write(self) -> None:
        self._private(self.settings_file, to_toml(self._settings()))
        self._private(self.root / "custody.toml", to_toml(self._registry()))
        self._private(self.simulator_file, to_toml({"simulator": self.simulator.to_mapping()}))

    def _settings(self) -> Mapping[str, object]:
        return {
            "profile": "demo",
            "registry": "custody.toml",
            "partitions": 2,
            **({"seed": self.seed} if self.repeatable else {}),
            "embedded": {"directory": str(self.postgres), "port": self.ports.postgres, **self._own_kafka()},
            **{role: {"dsn": self.dsn(role)} for role in ROLES},
            **self._log(),
            "edge": {"port": self.ports.edge},
            # All workers share one process here, and each waits for the others' turns: more at once makes up for it.
            "workers": {"media_concurrency": 32, "erase_concurrency": 32},
            PROVIDER: {
                "graph_url": f"http://127.0.0.1:{self.ports.simulator}/v25.0",
                "extra_media_hosts": [f"127.0.0.1:{self.ports.simulator}"],
            },
        }

    def _own_kafka(self) -> Mapping[str, object]:
        if self.log != "kafka":
            return {}
        return {"kafka_directory": str(self.kafka), "kafka_port": self.ports.kafka}

    def _log(self) -> Mapping[str, object]:
        """Where the log is, if not on Postgres: one broker has one replica."""
        if self.log != "kafka":
            return {}
        broker = f"127.0.0.1:{self.ports.kafka}"
        return {"log": {"kind": "kafka", "bootstrap": [broker], "replication": 1, "min_insync": 1}}

    def _registry(self) -> Mapping[str, object]:
        tenants: dict[str, object] = {}
        apps: dict[str, object] = {}
        accounts: dict[str, object] = {}
        for tenant, app, number in zip(TENANTS, self.simulator.apps, self.simulator.numbers, strict=True):
            tenants[tenant] = {"zone": "Africa/Johannesburg", "key_file": self._keep(f"{tenant}.key")}
            apps[f"{tenant}-app"] = {
                "provider": PROVIDER,
                "tenant": tenant,
                "app_id": app.app_id,
                "secret_files": [self._keep(f"{tenant}.app-secret", app.secret)],
                "verify_token_file": self._keep(f"{tenant}.verify-token", app.verify_token),
            }
            accounts[f"{tenant}-claims"] = {
                "tenant": tenant,
                "app": f"{tenant}-app",
                "id": number.phone_number_id,
                "group": number.waba_id,
                "token_file": self._keep(f"{tenant}.token", number.access_token),
            }
        return {"tenants": tenants, "apps": apps, "accounts": accounts}

    def _keep(self, name: str, value: str | None = None) -> str:
        """Writes a secret to its file; its path as the registry names it."""
        self._private(self.secrets / name, value or self.secret(name))
        return f"secrets/{name}"

    def _private(self, path: Path, text: str) -> None:
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")


def to_toml(document: Mapping[str, object]) -> str:
    """A document in TOML: plain values first, then a table for each mapping, everything below that inline."""
    plain = [f"{key} = {_value(value)}" for key, value in document.items() if not isinstance(value, Mapping)]
    tables = [_table(key, value) for key, value in document.items() if isinstance(value, Mapping)]
    return "\n".join([*plain, *tables]) + "\n"


def _table(name: str, table: Mapping[str, object]) -> str:
    lines = [f"{json.dumps(key)} = {_value(value)}" for key, value in table.items() if value is not None]
    return "\n".join([f"\n[{name}]", *lines])


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(key)} = {_value(one)}" for key, one in value.items() if one is not None)
        return f"{{ {inner} }}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_value(one) for one in value)}]"
    return json.dumps(value)


def _placed(config: SimulatorConfig, ports: Ports, seed: int) -> SimulatorConfig:
    """The simulated provider on its port, calling the edge, with enough under way to keep it busy."""
    callback = f"http://127.0.0.1:{ports.edge}/webhooks/{PROVIDER}/{{}}-app"
    token = hashlib.sha256(f"custody/demo/{seed}/control".encode()).hexdigest()
    return replace(
        config,
        port=ports.simulator,
        control_token=token,
        time_scale=0.2,
        delivery=DeliveryConfig(batch_limit=50, in_flight=4),
        apps=tuple(
            replace(app, callback_url=callback.format(tenant)) for tenant, app in zip(TENANTS, config.apps, strict=True)
        ),
    )


def _in_order(config: SimulatorConfig) -> SimulatorConfig:
    """One item a body and one body at a time: what shares a body, and which of two variants is first, is settled.

    Media URLs hold the simulator's port and the time; without them, a client asks for one, as it has to for others.
    """
    return replace(
        config,
        delivery=replace(config.delivery, batch_limit=1, in_flight=1),
        media=replace(config.media, url_in_webhook=False),
    )


def _clear(root: Path) -> None:
    """Makes the folder empty, if it is a demo's or empty already."""
    if root.exists():
        if any(root.iterdir()) and not (root / MARKER).exists():
            raise SettingsError([f"--keep: {root} holds something else; name a new folder, for example ./custody-demo"])
        shutil.rmtree(root)
    root.mkdir(parents=True, mode=0o755)
    (root / MARKER).touch()
