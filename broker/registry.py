"""The registry file: tenants, apps and accounts in TOML, with references to the files that hold their secrets.

Everything wrong is found at once, each in one line that names `table.name.key`. No finding quotes a value: a secret
may stand in the wrong place.
"""

from __future__ import annotations

import re
import tomllib
import zoneinfo
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from broker.core.errors import SettingsError
from broker.core.ports import Finding
from broker.core.registry import Account, App, Posture, Registry, Tenant
from broker.core.topics import TENANT_PATTERN, UNCLAIMED_TENANT
from broker.findings import closest, meant, not_toml, what
from broker.references import References, Stamp, as_line, stamp
from broker.registry_tables import AccountTable, AppTable, PostureTable, TenantTable

PROVIDERS = ("whatsapp_cloud",)
"""The providers that there is a connector for."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?")
_LONG_NUMBER = re.compile(r"\d{7}")

_TABLES: Mapping[str, type[BaseModel]] = {"tenants": TenantTable, "apps": AppTable, "accounts": AccountTable}

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a registry file came to: the registry unless there are problems, and the files it was made of."""

    registry: Registry | None
    findings: tuple[Finding, ...]
    stamps: Mapping[Path, Stamp] = field(repr=False)

    @property
    def problems(self) -> list[str]:
        """A line for each problem; warnings are left out."""
        return [as_line(one) for one in self.findings if one.level == "problem"]


def load_registry(path: Path) -> Registry:
    """The registry of a file. `SettingsError` has a finding for each problem."""
    reading = read_registry(path)
    if reading.registry is None:
        raise SettingsError(reading.problems)
    return reading.registry


def read_registry(path: Path, *, providers: Collection[str] = PROVIDERS) -> Reading:
    """The registry of a file, with whatever is to be said of it. Raises nothing."""
    references = References(folder=path.parent)
    registry = _Reader(path=path, providers=providers, refs=references).read()
    broken = any(one.level == "problem" for one in references.findings)
    return Reading(registry=None if broken else registry, findings=tuple(references.findings), stamps=references.stamps)


@dataclass(slots=True, kw_only=True)
class _Reader:
    path: Path
    providers: Collection[str]
    refs: References

    def read(self) -> Registry:
        document = self._document()
        for name in sorted(document.keys() - _TABLES.keys()):
            self.refs.problem(name, f"is not a table known here{meant(closest(name, _TABLES))}", "[tenants.acme]")
        tenants = dict(self._tables(document, "tenants", TenantTable))
        apps = dict(self._tables(document, "apps", AppTable))
        accounts = dict(self._tables(document, "accounts", AccountTable))
        self._references(document, apps, accounts)
        return Registry(
            tenants={name: tenant for name, table in tenants.items() if (tenant := self._tenant(name, table))},
            apps={name: app for name, table in apps.items() if (app := self._app(name, table))},
            accounts={
                name: account for name, table in accounts.items() if (account := self._account(name, table, apps))
            },
        )

    def _document(self) -> dict[str, Any]:
        subject, example = self.path.name, "CUSTODY_REGISTRY=/etc/custody/custody.toml"
        self.refs.stamps[self.path] = stamp(self.path)
        try:
            return tomllib.loads(self.path.read_text(encoding="utf-8"))
        except OSError as error:
            self.refs.problem(subject, f"can't be read: {(error.strerror or 'an input error').lower()}", example)
        except UnicodeDecodeError:
            self.refs.problem(subject, "is not UTF-8 text", example)
        except tomllib.TOMLDecodeError as error:
            self.refs.problem(subject, f"can't be used: {not_toml(self.path, error)}", "[tenants.acme]")
        return {}

    def _tables(self, document: Mapping[str, Any], kind: str, model: type[T]) -> Iterator[tuple[str, T]]:
        tables = document.get(kind, {})
        if not isinstance(tables, dict):
            self.refs.problem(kind, "is not a table of tables", f"[{kind}.acme]")
            return
        for name, table in tables.items():
            self._check_name(kind, name)
            try:
                yield name, model.model_validate(table)
            except ValidationError as error:
                for one in error.errors(include_url=False, include_input=False):
                    self._unfit(f"{kind}.{name}", model, tuple(str(key) for key in one["loc"]), what(one))

    def _unfit(self, table: str, model: type[BaseModel], keys: tuple[str, ...], fault: str) -> None:
        """A key that does not fit; the example is that of the key, or of the one that may have been meant."""
        names = [key for key in keys if not key.isdecimal()]
        for outer in names[:-1]:
            if model.model_fields[outer].annotation is PostureTable:
                model = PostureTable
        fields = model.model_fields
        close = None if not names or names[-1] in fields else closest(names[-1], fields)
        known = close or next((name for name in names[-1:] if name in fields), next(iter(fields)))
        example = (fields[known].examples or [f"{known} = .."])[0]
        self.refs.problem(".".join((table, *names)), fault + meant(close), str(example))

    def _check_name(self, kind: str, name: str) -> None:
        example = f"[{kind}.acme-claims]"
        pattern = TENANT_PATTERN if kind == "tenants" else _NAME
        if not pattern.fullmatch(name):
            rule = "1 to 40 of a-z, 0-9 and -" if kind == "tenants" else "1 to 64 of a-z, 0-9, - and _"
            self.refs.problem(
                f"{kind}.{name}", f"is not a name: {rule}, beginning and ending in a letter or digit", example
            )
        elif _LONG_NUMBER.search(name):
            self.refs.problem(f"{kind}.{name}", "has a long number in its name, and names are logged", example)
        elif kind == "tenants" and name == UNCLAIMED_TENANT:
            self.refs.problem(f"{kind}.{name}", "is reserved for what belongs to nobody yet", example)

    def _references(
        self, document: Mapping[str, Any], apps: Mapping[str, AppTable], accounts: Mapping[str, AccountTable]
    ) -> None:
        """What tables say of each other. A table that is there, but faulty, counts as there."""
        there = {kind: set(tables) for kind in _TABLES if isinstance(tables := document.get(kind, {}), dict)}
        tenants, app_names = there.get("tenants", set()), there.get("apps", set())
        for name, app in apps.items():
            self._known(f"apps.{name}.tenant", app.tenant, tenants, "tenants")
            for other in app.shared_with:
                self._known(f"apps.{name}.shared_with", other, tenants, "tenants")
            if app.provider not in self.providers:
                example = f'provider = "{next(iter(self.providers))}"'
                self.refs.problem(f"apps.{name}.provider", "names a provider there is no connector for", example)
        for name, account in accounts.items():
            self._known(f"accounts.{name}.tenant", account.tenant, tenants, "tenants")
            self._known(f"accounts.{name}.app", account.app, app_names, "apps")
            self._check_owner(name, account, apps.get(account.app))
            self._check_posture(name, account.posture)
        self._check_ids(apps, accounts)

    def _known(self, subject: str, name: str, known: Collection[str], kind: str) -> None:
        if name not in known:
            key = subject.rpartition(".")[2]
            fault = f"names none of [{kind}.*]{meant(closest(name, known))}"
            self.refs.problem(subject, fault, f'{key} = "{next(iter(known), "acme")}"')

    def _check_owner(self, name: str, account: AccountTable, app: AppTable | None) -> None:
        if app is not None and account.tenant not in (app.tenant, *app.shared_with):
            fault = f"is not the tenant of apps.{account.app}, nor one that it is shared with"
            self.refs.problem(f"accounts.{name}.tenant", fault, f'tenant = "{app.tenant}"')

    def _check_posture(self, name: str, posture: PostureTable) -> None:
        subject = f"accounts.{name}.posture.region"
        if posture.storage == "local" and posture.region is None:
            self.refs.problem(subject, "is missing, and local storage needs one", 'region = "ZA"')
        elif posture.storage != "local" and posture.region is not None:
            self.refs.problem(subject, "goes with local storage only", 'storage = "local"')

    def _check_ids(self, apps: Mapping[str, AppTable], accounts: Mapping[str, AccountTable]) -> None:
        """One account for each number: else its messages would have two owners."""
        owners: dict[tuple[str, str], str] = {}
        for name, account in accounts.items():
            provider = apps[account.app].provider if account.app in apps else ""
            first = owners.setdefault((provider, account.id), name)
            if first != name:
                fault = f"is the id of accounts.{first} too"
                self.refs.problem(f"accounts.{name}.id", fault, 'id = "106540352242922", a number of its own')

    def _tenant(self, name: str, table: TenantTable) -> Tenant | None:
        self._check_zone(f"tenants.{name}.zone", table.zone)
        key = self.refs.key(f"tenants.{name}.key_file", table.key_file)
        if key is None:
            return None
        return Tenant(name=name, zone=table.zone, key=key, erase_after_seconds=table.erase_after_seconds)

    def _app(self, name: str, table: AppTable) -> App | None:
        found = [self.refs.secret(f"apps.{name}.secret_files", reference) for reference in table.secret_files]
        token = self.refs.secret(f"apps.{name}.verify_token_file", table.verify_token_file)
        if token is None or None in found:
            return None
        return App(
            name=name,
            provider=table.provider,
            tenant=table.tenant,
            app_id=table.app_id,
            secrets=tuple(one.encode() for one in found if one is not None),
            verify_token=token,
        )

    def _account(self, name: str, table: AccountTable, apps: Mapping[str, AppTable]) -> Account | None:
        token = self.refs.secret(f"accounts.{name}.token_file", table.token_file)
        if token is None or table.app not in apps:
            return None
        return Account(
            name=name,
            tenant=table.tenant,
            app=table.app,
            provider=apps[table.app].provider,
            id=table.id,
            group=table.group,
            token=token,
            posture=Posture(**table.posture.model_dump()),
        )

    def _check_zone(self, subject: str, zone: str) -> None:
        try:
            zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            there = zoneinfo.available_timezones()
            fault = f"is not a zone of the IANA database{meant(closest(zone, there))}"
            if not there:
                fault = "can't be looked up: this machine has no zone database; install tzdata"
            self.refs.problem(subject, fault, 'zone = "Africa/Johannesburg"')
