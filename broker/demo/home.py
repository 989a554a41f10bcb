"""The folder of a demo: one settings file, one registry, secrets, and the simulated provider's settings.

The same numbers stand in the registry and in the simulator's settings. Secrets are made from the seed and open nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

from broker.core.errors import SettingsError
from broker.demo.ports import free_ports
from broker.store_settings import PROFILES, Kind, StoreName
from broker.store_settings import ROLES as STORE_ROLES
from connectors.simulator.config import DeliveryConfig, SimulatorConfig
from connectors.simulator.sample import sample

MARKER = ".custody-demo"
TENANTS = ("umbrella", "harbour")
ROLES = ("log", *STORE_ROLES)
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
    mongo: int
    s3: int

    @classmethod
    def free(cls) -> Ports:
        """Ports that nothing listens on now."""
        names = [one.name for one in fields(cls)]
        return cls(**dict(zip(names, free_ports(len(names)), strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoHome:
    """Where a demo's files lie, and what is in them."""

    root: Path
    seed: int
    ports: Ports
    log: Log
    store: StoreName
    simulator: SimulatorConfig = field(repr=False)
    repeatable: bool = False

    @classmethod
    def make(
        cls,
        root: Path,
        *,
        seed: int,
        ports: Ports,
        log: Log = "postgres",
        store: StoreName = "postgres",
        repeatable: bool = False,
    ) -> DemoHome:
        """Lays the folder out afresh. `SettingsError` when it holds something that is not a demo's.

        `repeatable`: salts and ids come from the seed, and nothing that webhooks say depends on time or ports.
        """
        _clear(root)
        config = _placed(sample(companies=len(TENANTS), seed=seed), ports, seed)
        config = _in_order(config) if repeatable else config
        home = cls(root=root, seed=seed, ports=ports, log=log, store=store, simulator=config, repeatable=repeatable)
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
    def kinds(self) -> Mapping[str, Kind]:
        """What the server of each role is."""
        profile = PROFILES[self.store]
        return {"log": self.log, **{role: profile[role] for role in STORE_ROLES}}

    @property
    def control_token(self) -> str:
        """What opens the simulator's control calls."""
        return self.secret("control")

    def secret(self, name: str) -> str:
        """A secret made from the seed."""
        return hashlib.sha256(f"custody/demo/{self.seed}/{name}".encode()).hexdigest()

    def server(self, role: str) -> Mapping[str, object]:
        """Where a role's server is, with a login that has the rights of production."""
        match self.kinds[role]:
            case "postgres":
                return {"dsn": f"postgresql://{self._login(role)}@127.0.0.1:{self.ports.postgres}/custody_{role}"}
            case "mongo":
                place = f"127.0.0.1:{self.ports.mongo}/custody_{role}?replicaSet=custody"
                return {"uri": f"mongodb://{self._login(role)}@{place}"}
            case "s3":
                return {
                    "bucket": f"custody-{role}",
                    "endpoint": f"http://127.0.0.1:{self.ports.s3}",
                    "path_style": True,
                    "access_key": f"demo_{role}",
                    "secret_key": self.secret(role),
                }
            case "kafka":  # one broker has one replica
                broker = f"127.0.0.1:{self.ports.kafka}"
                return {"kind": "kafka", "bootstrap": [broker], "replication": 1, "min_insync": 1}

    def _login(self, role: str) -> str:
        return f"demo_{role}:{self.secret(role)}"

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
            "store": self.store,
            "embedded": self._own_servers(),
            **{role: self.server(role) for role in ROLES},
            "edge": {"port": self.ports.edge},
            # All workers share one process here, and each waits for the others' turns: more at once makes up for it.
            "workers": {"media_concurrency": 32, "erase_concurrency": 32},
            PROVIDER: {
                "graph_url": f"http://127.0.0.1:{self.ports.simulator}/v25.0",
                "extra_media_hosts": [f"127.0.0.1:{self.ports.simulator}"],
            },
        }

    def _own_servers(self) -> Mapping[str, object]:
        """A folder and a port for each server that this demo needs."""
        found: dict[str, object] = {}
        for kind in dict.fromkeys(self.kinds.values()):
            prefix = "" if kind == "postgres" else f"{kind}_"
            found |= {f"{prefix}directory": str(self.root / kind), f"{prefix}port": getattr(self.ports, kind)}
        return found

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
