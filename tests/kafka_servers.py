"""Kafka for the tests: where it comes from."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.servers import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

KAFKA_VARIABLE = "CUSTODY_TEST_KAFKA"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedKafka:
    """The broker of the whole run, plain and open. Name topics and groups apart in each test."""

    bootstrap: tuple[str, ...]


@asynccontextmanager
async def shared_kafka() -> AsyncGenerator[SharedKafka]:
    """A broker of the caller's own."""
    if address := os.environ.get(KAFKA_VARIABLE):
        yield SharedKafka(bootstrap=tuple(address.split(",")))
    else:
        unavailable(f"Kafka: set {KAFKA_VARIABLE} to an address")
