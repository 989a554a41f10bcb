"""Who does what with which stream: the least that each worker, and whoever subscribes, needs of the log.

As data, so that a cluster's access lists can be written from it. A test holds it against what the workers really do.
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.core.topics import ARCHIVED_STREAMS, TENANT_STREAMS, Stream

ALL_GROUPS = ("archive", "media", "fetch", "erase", "claim", "send")
"""Every group that a worker of Custody reads in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What one kind of client needs.

    Attributes:
        name: of the worker, or of what the client is for.
        writes: streams it appends to.
        reads: streams whose entries it reads, in its groups if it has any.
        consults: streams of which it reads entries outside any group.
        looks_at: streams of which it wants to know no more than where they begin and end.
        trims: streams it takes entries away from.
        groups: in which it reads and commits.
        watches: groups whose progress it looks at.
        own_groups: it reads in groups of the tenant's own, whose names begin with the tenant's and a dot.
        inspects: it looks at the settings of topics and of the cluster.
        administers: it creates topics and changes their settings.
    """

    name: str
    writes: tuple[Stream, ...] = ()
    reads: tuple[Stream, ...] = ()
    consults: tuple[Stream, ...] = ()
    looks_at: tuple[Stream, ...] = ()
    trims: tuple[Stream, ...] = ()
    groups: tuple[str, ...] = ()
    watches: tuple[str, ...] = ()
    own_groups: bool = False
    inspects: bool = False
    administers: bool = False


WORKER_ROLES = (
    Role(name="edge", writes=(Stream.MESSAGES, Stream.STATUSES, Stream.BODIES)),
    Role(
        name="archive",
        reads=ARCHIVED_STREAMS,
        consults=(Stream.DEAD,),
        writes=(Stream.KEPT, Stream.DEAD),
        groups=("archive",),
    ),
    Role(
        name="media",
        reads=(Stream.MESSAGES, Stream.FETCHES),
        writes=(Stream.FETCHES, Stream.PARTS),
        groups=("media", "fetch"),
    ),
    Role(name="relay", writes=(Stream.ERASURES,), watches=("erase",)),
    Role(name="erase", reads=(Stream.ERASURES,), writes=(Stream.RECEIPTS,), groups=("erase",)),
    Role(
        name="claim",
        reads=(Stream.BODIES,),
        writes=(Stream.MESSAGES, Stream.STATUSES, Stream.BODIES),
        groups=("claim",),
    ),
    Role(
        name="tidy",
        looks_at=(*ARCHIVED_STREAMS, Stream.ERASURES),
        trims=(Stream.FETCHES, Stream.BODIES),
        watches=("archive", "media", "fetch", "erase", "claim"),
    ),
    Role(name="send", reads=(Stream.OUTBOUND,), writes=(Stream.MESSAGES,), groups=("send",)),
)
"""The workers, which serve every tenant of a cell."""

OPERATOR_ROLES = (
    Role(
        name="operator",
        reads=(*TENANT_STREAMS, Stream.BODIES),
        writes=(*ARCHIVED_STREAMS, Stream.FETCHES, Stream.KEPT),
        watches=ALL_GROUPS,
        inspects=True,
    ),
    Role(name="topics", inspects=True, administers=True),
)
"""Who runs the command `custody`: looking and mending, and `custody topics`."""

TENANT_ROLES = (
    Role(name="subscriber", reads=(Stream.KEPT, Stream.MESSAGES, Stream.STATUSES), own_groups=True),
    Role(name="sender", writes=(Stream.OUTBOUND,)),
)
"""Services of a tenant's own."""

ROLES = (*WORKER_ROLES, *OPERATOR_ROLES, *TENANT_ROLES)
