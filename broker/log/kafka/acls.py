"""The access lists of a Kafka log as commands: what each role needs of one tenant's topics, and no more. Pure.

Read and Write imply Describe. Source: https://kafka.apache.org/43/security/authorization-and-acls/, 2026-11.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from broker.core.topics import TENANT_STREAMS, UNCLAIMED_TENANT, Stream, topic_name
from broker.log.kafka.facts import OFFSETS_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from broker.core.access import Role

PROGRAM = "kafka-acls.sh"
_ADMIN_OPERATIONS = ("Create", "Alter", "AlterConfigs")
_INSPECTING_OPERATIONS = ("Describe", "DescribeConfigs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One command: `words` are its arguments, after the program's name."""

    role: str
    principal: str
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """As it is typed."""
        return " ".join((PROGRAM, *(shlex.quote(one) for one in self.words)))


def grants(role: Role, *, tenant: str, principal: str, bootstrap: Sequence[str]) -> list[Grant]:
    """What a role needs of a tenant's topics, as commands."""
    start = ("--bootstrap-server", ",".join(bootstrap), "--command-config", "admin.properties", "--add")
    return [
        Grant(role=role.name, principal=principal, words=(*start, "--allow-principal", principal, *words))
        for words in _grants(role, tenant)
    ]


def default_principal(role: Role, tenant: str, *, of_tenant: bool) -> str:
    """Whom a role is granted to, where nobody is named."""
    return f"User:{tenant}-{role.name}" if of_tenant else f"User:custody-{role.name}"


def _grants(role: Role, tenant: str) -> Iterator[tuple[str, ...]]:
    if role.reads:
        yield ("--operation", "Read", *_topics(tenant, (*role.reads, *role.consults)), *_groups(role.groups))
    if role.own_groups:
        yield ("--operation", "Read", "--group", f"{tenant}.", "--resource-pattern-type", "prefixed")
    if role.writes:
        yield ("--operation", "Write", *_topics(tenant, role.writes))
    if role.looks_at or role.watches:
        yield ("--operation", "Describe", *_topics(tenant, role.looks_at), *_groups(role.watches))
    if role.trims:
        yield ("--operation", "Delete", *_topics(tenant, role.trims))
    if role.administers:
        yield (*_operations(_ADMIN_OPERATIONS), *_topics(tenant, (*TENANT_STREAMS, Stream.BODIES)))
    if role.inspects:
        topics = _topics(tenant, (*TENANT_STREAMS, Stream.BODIES))
        yield (*_operations(_INSPECTING_OPERATIONS), *topics, "--topic", OFFSETS_TOPIC)
        yield (*_operations(_INSPECTING_OPERATIONS), "--cluster")


def _operations(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--operation", name))


def _topics(tenant: str, streams: Iterable[Stream]) -> tuple[str, ...]:
    names = (topic_name(UNCLAIMED_TENANT if one is Stream.BODIES else tenant, one) for one in streams)
    return tuple(word for name in names for word in ("--topic", name))


def _groups(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--group", name))
