"""Records and blobs in memory, for tests: the same promises, but for durability."""

from backends.memory.blobs import MemoryBlobs
from backends.memory.records import MemoryRecords

__all__ = ["MemoryBlobs", "MemoryRecords"]
