"""Errors that every log raises alike."""

from __future__ import annotations

from typing import ClassVar

from broker.core.errors import FatalError


class UnknownTopicError(FatalError):
    """A topic that nobody created: they are never made by appending to them."""

    code: ClassVar[str] = "unknown_topic"

    def __init__(self, topics: list[str]) -> None:
        super().__init__(f"no such topic: {', '.join(topics)}; nothing was appended. Create it with: custody init")
