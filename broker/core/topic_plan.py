"""What is to be done so that the topics of a log are as Custody needs them; and the seam that does it.

A log's own planning is pure: from how topics are to be and how they are, to a plan. `apply` carries a plan out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from broker.core.ports import Finding
from broker.core.topics import TopicSpec

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicChange:
    """One thing that is to become different about a topic that is there.

    `what` is `partitions`, or a setting by the log's own name; `was` and `becomes` as the log spells the values.
    """

    topic: str
    what: str
    was: str
    becomes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPlan:
    """What `apply` would do: topics to create, and changes. `findings`: what it can't or won't do, and the remedy."""

    create: tuple[TopicSpec, ...] = ()
    changes: tuple[TopicChange, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def changes_anything(self) -> bool:
        """Whether applying it would change the log."""
        return bool(self.create or self.changes)


class TopicAdmin(Protocol):
    """Looks after a log's topics: Kafka's, or those of a Postgres log."""

    async def plan(self, specs: Sequence[TopicSpec], *, grow: bool = False) -> TopicPlan:
        """What is to be done for these topics; changes nothing.

        With `grow`, topics with too few partitions get more, also where entries lie in them: from then on some keys
        go to another partition than before, and the order within those keys is that of two partitions. Partitions
        are never taken away. `LogUnavailableError`: ask again later.
        """
        ...

    async def apply(self, plan: TopicPlan) -> None:
        """Does what a plan says, and nothing else: settings it does not name stay as they are.

        May be done again. `LogUnavailableError`: some of it may be done; plan again. `TopicRefusedError`: the log
        refuses a change for what it is.
        """
        ...

    async def close(self) -> None:
        """Lets go of connections."""
        ...
