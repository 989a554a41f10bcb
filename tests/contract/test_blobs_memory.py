"""The blob store in memory keeps every promise of the suite."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from backends.memory import MemoryBlobs
from backends.memory.blobs import CHUNK_BYTES
from tests.contract.blob_store import BlobBench, BlobContract


@dataclass
class MemoryBlobBench:
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    chunk_bytes: int = CHUNK_BYTES


@pytest.fixture
def bench() -> BlobBench:
    return MemoryBlobBench()


class TestMemoryBlobs(BlobContract):
    pass
