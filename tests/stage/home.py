"""The folder of a stage: a demo's, with addresses of the stage's own servers and shorter waits."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from broker.demo.home import PROVIDER, TENANTS, DemoHome, Log, Ports, to_toml
from connectors.simulator.config import DeliveryConfig, MediaConfig, SimulatorConfig
from tests.stage.servers import Servers
from tests.stage.stores import Stores

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.simulator.misbehaviour import Misbehaviour

_DELIVERY = DeliveryConfig(batch_limit=8, in_flight=4, outstanding=24, retry_longest_seconds=2.5)
_MEDIA = MediaConfig(expiring_seconds=3_600)
_WORKERS = {
    "batch_entries": 40,
    "idle_wait_seconds": 0.1,
    "first_wait_seconds": 0.02,
    "most_wait_seconds": 0.1,
    "erase_lease_seconds": 2.0,
    "relay_poll_seconds": 0.1,
    "claim_poll_seconds": 0.5,
}
_KAFKA = {"session_seconds": 1.0, "heartbeat_seconds": 0.2, "metadata_seconds": 0.5}
_HURRY: Mapping[Log, Mapping[str, str]] = {"postgres": {}, "kafka": {"CUSTODY_LOG__REQUEST_SECONDS": "3"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which store is the main one, the stage's Postgres where none is named, and which one is beside it."""

    main: Stores | None = None
    other: Stores | None = None
    writes_both: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageHome:
    """Where a stage's files lie, and what is in them. `overrides` go over the settings, table by table.

    `registry` has every account there is.
    """

    demo: DemoHome
    servers: Servers
    simulator: SimulatorConfig = field(repr=False)
    registry: Mapping[str, Any]
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        root: Path,
        servers: Servers,
        *,
        seed: int,
        misbehaviour: Misbehaviour,
        log: Log = "postgres",
        overrides: Mapping[str, Any] | None = None,
        layout: Layout | None = None,
    ) -> StageHome:
        """Lays the folder out."""
        demo = DemoHome.make(root, seed=seed, ports=Ports.free(), log=log)
        config = replace(demo.simulator, delivery=_DELIVERY, media=_MEDIA, misbehaviour=misbehaviour)
        registry = tomllib.loads((demo.root / "custody.toml").read_text(encoding="utf-8"))
        home = cls(demo=demo, servers=servers, simulator=config, registry=registry, overrides=overrides or {})
        home.write(layout or Layout())
        return home

    def write(self, layout: Layout) -> None:
        """Writes the settings; what runs already goes by the old ones until it is started again."""
        fresh = self.settings_file.with_suffix(".new")
        fresh.write_text(to_toml(self.settings(layout)), encoding="utf-8")
        fresh.rename(self.settings_file)

    @property
    def root(self) -> Path:
        return self.demo.root

    @property
    def settings_file(self) -> Path:
        return self.demo.settings_file

    @property
    def registry_file(self) -> Path:
        return self.root / "custody.toml"

    @property
    def edge_url(self) -> str:
        return f"http://127.0.0.1:{self.demo.ports.edge}"

    def account(self, tenant: str) -> str:
        """The provider's id of a tenant's number."""
        return self.simulator.numbers[TENANTS.index(tenant)].phone_number_id

    def register(self, *tenants: str, known: Sequence[str] = TENANTS) -> None:
        """Writes the registry anew, with the accounts of these tenants only; `known` are in it with their apps."""
        registry = {
            "tenants": {name: one for name, one in self.registry["tenants"].items() if name in known},
            "apps": {name: one for name, one in self.registry["apps"].items() if one["tenant"] in known},
            "accounts": {name: one for name, one in self.registry["accounts"].items() if one["tenant"] in tenants},
        }
        fresh = self.registry_file.with_suffix(".new")
        fresh.write_text(to_toml(registry), encoding="utf-8")
        fresh.rename(self.registry_file)

    @property
    def hurry(self) -> Mapping[str, str]:
        """What workers go by, and nobody who watches them: they give up soon a server that does not answer."""
        return _HURRY[self.demo.log]

    @property
    def on_postgres(self) -> Stores:
        """The store on the stage's own Postgres."""
        return Stores(profile="postgres", records=self._server("records"), blobs=self._server("blobs"))

    def settings(self, layout: Layout | None = None) -> Mapping[str, Any]:
        layout = layout or Layout()
        other = layout.other
        made: dict[str, Any] = {
            **self.demo._settings(),
            "profile": "development",
            "registry_poll_seconds": 0.1,
            "log": self._server("log"),
            **(layout.main or self.on_postgres).sections(),
            **({} if other is None else {"other": {**other.sections(), "write": layout.writes_both}}),
            **self._log(),
            "edge": {"port": self.demo.ports.edge, "append_seconds": 3.0, "retry_after_seconds": 1},
            "workers": _WORKERS,
            "telemetry": {"log_level": "debug", "log_format": "json"},
        }
        del made["embedded"]
        for name, value in self.overrides.items():
            made[name] = {**made.get(name, {}), **value} if isinstance(value, dict) else value
        return made

    def _log(self) -> Mapping[str, Any]:
        """Where the log is, if not on Postgres: all brokers have a replica, and one of three may be down."""
        if self.demo.log != "kafka":
            return {}
        brokers = self.servers.cluster().bootstrap
        replicas = {"replication": len(brokers), "min_insync": min(2, len(brokers))}
        return {"log": {"kind": "kafka", "bootstrap": list(brokers), **replicas, **_KAFKA}}

    def _server(self, role: str) -> Mapping[str, Any]:
        return {
            "dsn": self.servers.dsn(role),
            "admin_dsn": self.servers.admin_dsn(role),
            "pool_size": 6,
            "allow_unsafe_server": True,
        }


__all__ = ["PROVIDER", "TENANTS", "StageHome"]
