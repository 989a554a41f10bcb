"""The demo with its log on Kafka closes, and its account is the one that it has on Postgres for the same seed."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from broker.demo import LOGS, Demo, DemoOptions, Log
from broker.demo.view import as_json
from tests.e2e.test_demo import FIELDS
from tests.kafka_servers import missing_for_local_kafka
from tests.servers import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEED = 11
OF_THE_RUN = frozenset({"peak_memory_bytes", "residue_texts_until", "seconds"})
"""What is another each time, on either log."""
OF_THE_PROVIDER = (
    *("sent", "delivered", "dropped", "inbound", "media", "variants"),
    *("items_redelivered", "erased", "held_media", "held_messages"),
)
"""What it sent and holds; how often it was asked depends on the moment."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def documents() -> AsyncIterator[Mapping[Log, Mapping[str, Any]]]:
    """What the demo prints for a machine, for each log."""
    if missing := await asyncio.to_thread(missing_for_local_kafka):
        unavailable(missing)
    found: dict[Log, Mapping[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="custody-e2e-") as folder:
        Path(folder).chmod(0o711)
        for log in LOGS:
            async with Demo(options=DemoOptions(keep=Path(folder) / log, seed=SEED, log=log)) as demo:
                await demo.play()
                found[log] = json.loads(as_json(await demo.outcome()))
    yield found


async def test_the_demo_on_kafka_closes_with_the_same_fields(documents: Mapping[Log, Mapping[str, Any]]) -> None:
    document = documents["kafka"]
    assert set(document) >= FIELDS
    assert set(document) == set(documents["postgres"])
    assert document["closed"] is True, document["problems"]
    assert document["problems"] == []
    assert all(document[name] > 0 for name in ("kept", "duplicates", "variants", "gaps", "parts_kept", "erased"))


async def test_the_account_is_the_same_on_both_logs(documents: Mapping[Log, Mapping[str, Any]]) -> None:
    postgres, kafka = (
        {name: value for name, value in documents[log].items() if name not in OF_THE_RUN} for log in LOGS
    )
    for document in (postgres, kafka):
        document["provider"] = {name: document["provider"][name] for name in OF_THE_PROVIDER}
    assert kafka == postgres


async def test_memory_is_that_of_custodys_own_processes(documents: Mapping[Log, Mapping[str, Any]]) -> None:
    """A broker alone has some 300 MiB, which must not be among it."""
    for document in documents.values():
        assert document["peak_memory_bytes"].keys() == {"workers"}
        assert 0 < document["peak_memory_bytes"]["workers"] < 250 * 2**20
