"""Bodies of very many items at the edge: bounded work, nothing refused, and the loop turns meanwhile."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
import structlog

from broker.core import parcels
from broker.core.errors import LogUnavailableError
from connectors.whatsapp_cloud import webhook
from connectors.whatsapp_cloud.parse import parse
from connectors.whatsapp_cloud.webhook import EdgeLimits
from tests.unit.connectors.whatsapp_cloud.test_webhook import HELLO, Log, body_of, messages, not_to_be_called, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.item import Change
    from broker.core.ports import NewEntry

LIMITS = EdgeLimits(body_items=50, append_seconds=5.0)


def texts(count: int) -> bytes:
    return body_of(messages(*map(str, range(count))))


async def test_more_items_than_are_sealed_at_once_are_kept_whole() -> None:
    many = texts(50)  # and the identity that they show
    async with serving(LIMITS) as edge:
        with structlog.testing.capture_logs() as lines:
            assert await edge.deliver(many) == 200
        (kept,) = edge.log.unclaimed
        assert await parcels.body_of(kept, parcels.no_blobs) == many
        assert edge.counts.seen["unclaimed whatsapp_cloud too_many"] == 1
    assert [(one["action"], one["log_level"]) for one in lines] == [("webhook.too_many", "warning")]


async def test_as_many_items_as_are_sealed_at_once_become_records() -> None:
    async with serving(LIMITS) as edge:
        assert await edge.deliver(texts(49)) == 200
        assert len(edge.log.records) == 50
        assert edge.log.unclaimed == []


@pytest.mark.parametrize("element", [b'{"x":1}', b"1", b'""', b"[]"])
async def test_what_must_hold_too_many_items_is_not_even_parsed(
    element: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "parse", not_to_be_called)
    many = HELLO.replace(b'"contacts": [', b'"contacts": [' + element + (b"," + element) * 1_100 + b",")
    assert sum(len(one.items) for one in parse(many.replace(b'"contacts"', b'"calls"'))) > 1_100
    async with serving(LIMITS) as edge:
        assert await edge.deliver(many) == 200
        assert len(edge.log.unclaimed) == 1


async def test_the_loop_turns_while_a_large_body_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(body: bytes) -> Sequence[Change]:
        if len(body) > len(HELLO):
            begun.set()
            assert go_on.wait(30)
        return parse(body)

    monkeypatch.setattr(webhook, "parse", slowly)
    async with serving(EdgeLimits()) as edge:
        large = asyncio.create_task(edge.deliver(texts(500)))
        assert await asyncio.to_thread(begun.wait, 30)
        assert await edge.deliver(HELLO) == 200
        assert not large.done()
        go_on.set()
        assert await large == 200
    assert len(edge.log.records) > 500


class Narrow(Log):
    """A log that takes so many bytes at once; the append numbered `fails_at` fails, once."""

    most: int = 20_000
    fails_at: int = -1

    async def append(self, entries: Sequence[NewEntry]) -> None:
        assert sum(one.size for one in entries) <= self.most
        if self.appends == self.fails_at:
            self.fails_at = -1
            raise LogUnavailableError("down")
        await super().append(entries)


async def test_what_the_log_does_not_take_at_once_goes_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_APPEND_BYTES", 20_000)
    log = Narrow()
    async with serving(EdgeLimits(), log) as edge:
        assert await edge.deliver(texts(100)) == 200
    assert log.appends > 2
    assert len({one.envelope.record_id for one in log.records}) == len(log.records) == 101


async def test_a_portion_that_fails_is_503_and_all_of_it_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_APPEND_BYTES", 20_000)
    log = Narrow()
    log.fails_at = 2
    async with serving(EdgeLimits(), log) as edge:
        assert [await edge.deliver(texts(100)) for _ in range(2)] == [503, 200]
    assert len({one.envelope.record_id for one in log.records}) == 101
