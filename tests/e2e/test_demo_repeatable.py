"""The same seed and the same time tell the same story, digest by digest, wherever it is kept."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from msgspec import UNSET

from broker.core.topics import ACCOUNTED_STREAMS, split_topic
from broker.demo import Demo, DemoOptions
from broker.store_settings import STORES, StoreName

AT = datetime(2026, 1, 15, 6, 30, tzinfo=UTC)

Digests = dict[str, tuple[str, str]]


async def told(seed: int, store: StoreName = "postgres") -> Digests:
    """Content and record digest of every record of the accounted streams, by its id."""
    found: Digests = {}
    with tempfile.TemporaryDirectory(prefix="custody-e2e-") as folder:
        Path(folder).chmod(0o711)  # so that the server's own account may pass through
        async with Demo(options=DemoOptions(seed=seed, at=AT, keep=Path(folder) / "demo", store=store)) as demo:
            await demo.play()
            outcome = await demo.outcome()
            assert outcome.closed, outcome.problems
            for tenant in demo.registry.tenants:
                async for kept in demo.store.records(tenant):
                    position = kept.record.arrival.position
                    if position is not UNSET and split_topic(position.topic)[1] in ACCOUNTED_STREAMS:
                        found[kept.record_id] = kept.record.envelope.content_digest, kept.record_digest
        assert len(found) == outcome.account.kept + outcome.account.variants
    return found


async def test_a_story_is_the_same_again_with_its_seed_and_time_and_with_no_other() -> None:
    first = await told(seed=7)
    for store in STORES:
        assert await told(seed=7, store=store) == first, store
    other = await told(seed=8)
    assert not other.keys() & first.keys()
    digests = {one for both in first.values() for one in both}
    assert not digests & {one for both in other.values() for one in both}
