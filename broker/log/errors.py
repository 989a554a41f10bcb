"""Errors that every log raises alike."""

from __future__ import annotations

from broker.core.errors import UnknownTopicError

__all__ = ["UnknownTopicError"]
