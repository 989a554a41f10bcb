"""The record and the blob store as the settings want them written: one, or two at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from broker import servers
from broker.dual import DualBlobs, DualRecords

if TYPE_CHECKING:
    from broker.core.ports import BlobStore, RecordStore
    from broker.settings import Settings


async def open_records(settings: Settings) -> RecordStore:
    """The record store; both, where `other.write` is set. `StoreUnavailableError`: open it again later."""
    main = await servers.open_records(settings)
    second = _written(settings)
    if second is None:
        return main
    try:
        return DualRecords(main, await servers.open_records(second), partial(_open_both, settings, second))
    except BaseException:
        await main.close()
        raise


async def open_blobs(settings: Settings) -> BlobStore:
    """The blob store; both, where `other.write` is set. `BlobsUnavailableError`: open it again later."""
    second = _written(settings)
    return await servers.open_blobs(settings) if second is None else await _open_both(settings, second)


async def _open_both(settings: Settings, second: Settings) -> DualBlobs:
    main = await servers.open_blobs(settings)
    try:
        return DualBlobs(main, await servers.open_blobs(second))
    except BaseException:
        await main.close()
        raise


def _written(settings: Settings) -> Settings | None:
    return settings.second() if settings.other.write else None
