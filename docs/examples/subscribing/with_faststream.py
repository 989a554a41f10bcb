"""Reads `kept` and `messages` with FastStream: python with_faststream.py KAFKA TENANT."""

import asyncio
import base64
import json
import sys
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker

KAFKA, TENANT = sys.argv[1:]
broker = KafkaBroker(KAFKA)


def reading(stream: str) -> Any:
    """Every entry at least once. One that fails comes again, before those behind it."""
    return broker.subscriber(
        f"custody.{TENANT}.{stream}.v1",
        group_id=f"{TENANT}.claims.{stream}",
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )


@reading("kept")
async def on_kept(notice: dict[str, Any]) -> None:
    """A record is in the company's own store. Do what is harmless if done twice, by `record_id`."""
    place = notice["position"]
    print("kept", notice["record_id"], notice["type"], place["topic"], place["partition"], place["offset"], flush=True)


@reading("messages")
async def on_message(record: dict[str, Any]) -> None:
    """Something happened. Pass over a `kind` that you do not know: there will be more."""
    envelope = record["envelope"]
    print("messages", envelope["record_id"], envelope["type"], *sorted(item_of(record["content"])), flush=True)


def item_of(content: dict[str, str]) -> dict[str, Any]:
    """The provider's own JSON. It is the customer's words: print none of it."""
    if content["encoding"] != "custody/item+json" or "key_id" in content:
        return {}  # made by Custody itself, or sealed
    item: dict[str, Any] = json.loads(base64.b64decode(content["data"])).get("item", {})
    return item


if __name__ == "__main__":
    asyncio.run(FastStream(broker).run())
