"""What can go wrong with a Kafka of one's own, and how much of a program's words goes into the message."""

from __future__ import annotations

from typing import ClassVar

from broker.core.errors import FatalError


class LocalKafkaError(FatalError):
    """The local Kafka can't be started, or not where it was asked to."""

    code: ClassVar[str] = "local_kafka"


def last_lines(text: str, *, count: int = 12) -> str:
    """The end of a program's output, indented, for an error message; without Java's traces, which bury the reason."""
    lines = [line for line in text.strip().splitlines() if not line.startswith("\tat ")]
    return "\n".join(f"  {line}" for line in lines[-count:]) or "  (it said nothing)"
