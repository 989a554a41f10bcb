"""Who is registered: tenants, their apps and accounts, and the keys, as one immutable value.

Loading it from a file is the broker's work; here it is only looked things up in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from broker.core.errors import ProviderRefusedError, UnregisteredError
from broker.core.identity import TenantKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A client organisation. `zone` is the IANA zone its days are counted in.

    Targets come due `erase_after_seconds` after they are kept, so that the store's backup has them before they go.
    """

    name: str
    zone: str
    key: TenantKey
    erase_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A provider app: its secrets sign the webhooks of its own accounts, and of no other's.

    Several `secrets` are live while one is rotated. What names no account is kept under `tenant`.
    """

    name: str
    provider: str
    tenant: str
    app_id: str
    secrets: tuple[bytes, ...] = field(repr=False)
    verify_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """How a provider account is wanted to retain. `storage`: default, no_storage or local.

    `local` names its `region`; `contact_book` says whether the provider may keep one.
    """

    storage: str = "default"
    region: str | None = None
    contact_book: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One business number at one provider. `id` is the provider's id of it, `group` of what holds it (a WABA)."""

    name: str
    tenant: str
    app: str
    provider: str
    id: str
    group: str
    token: str = field(repr=False)
    posture: Posture = field(default_factory=Posture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Everything registered, by name; a new value replaces the old when the file changes."""

    tenants: Mapping[str, Tenant]
    apps: Mapping[str, App]
    accounts: Mapping[str, Account]
    _by_id: dict[tuple[str, str], Account] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_id = {(one.provider, one.id): one for one in self.accounts.values()}
        object.__setattr__(self, "_by_id", by_id)

    def tenant(self, name: str) -> Tenant:
        """A tenant whose entries are in the log; `UnregisteredError` when it is not registered (any more)."""
        found = self.tenants.get(name)
        if found is None:
            raise UnregisteredError(f"tenant {name} has entries in the log and is not registered: custody tenant apply")
        return found

    def account_of(self, *, provider: str, account: str) -> Account | None:
        """The account with the provider's id `account`."""
        return self._by_id.get((provider, account))

    def require(self, *, provider: str, account: str) -> Account:
        """The same, for work at the provider: `ProviderRefusedError` while nobody has registered it (again)."""
        found = self.account_of(provider=provider, account=account)
        if found is None:
            message = (
                f"account {account} of {provider} is not registered, so there is no credential: custody account apply"
            )
            raise ProviderRefusedError(message)
        return found

    def group_tenant(self, *, app: str, group: str) -> str | None:
        """The tenant whose accounts, and only whose accounts, lie in a group (a WABA) of an app."""
        owners = {one.tenant for one in self.accounts.values() if one.app == app and one.group == group}
        return owners.pop() if len(owners) == 1 else None
