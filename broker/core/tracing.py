"""Every span by name. Labels are as harmless as those of metrics, and ids of Custody's own besides."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal, Protocol

from broker.core.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import NewEntry

SpanName = Literal[
    "webhook",  # a delivery, from its first byte to the answer
    "keep",  # a batch on its way into the store; linked to the deliveries that brought it
    "fetch",  # one part, from the provider into the blob store
    "command",  # deletion commands on their way into the log
    "erase",  # one deletion at the provider
]

TRACEPARENT = "ce_traceparent"
"""The header by which an entry says what span it was appended in: random ids alone.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md and
https://www.w3.org/TR/trace-context/ (2021-11).
"""


class Tracing(Protocol):
    """Where spans go."""

    def span(self, name: SpanName, **labels: str) -> AbstractContextManager[None]:
        """A span around a piece of work."""
        ...

    def traceparent(self) -> str | None:
        """The current span as W3C has it; None outside of any, or where it is not sampled."""
        ...


class NoTracing:
    """Traces nothing."""

    _nothing: AbstractContextManager[None] = nullcontext()

    def span(self, name: SpanName, **labels: str) -> AbstractContextManager[None]:  # noqa: ARG002 - as the protocol has it
        """Nothing."""
        return self._nothing

    def traceparent(self) -> None:
        """Nothing."""


def traced(entries: Sequence[NewEntry], traceparent: str | None) -> Sequence[NewEntry]:
    """The entries, saying what span they were made in."""
    if traceparent is None:
        return entries
    header = (TRACEPARENT, traceparent.encode())
    return [replace(entry, headers=(*entry.headers, header)) for entry in entries]
