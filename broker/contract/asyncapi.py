"""The AsyncAPI document: channels, keys, headers, values and Custody's own readers.

Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0 (2023-12), its Kafka bindings 0.5.0.
"""

from __future__ import annotations

from typing import Any

from broker import __version__
from broker.contract.channels import CHANNELS, SUBSCRIBERS, WORKERS, Channel
from broker.contract.shapes import Schema, prose
from broker.core.topics import KEEP_FOREVER_STREAMS, Stream, topic_name, unclaimed_topic

_BINDING = {"bindingVersion": "0.5.0"}
_ABOUT = prose("""
Custody brings conversations home from the provider that carries them, keeps every message in the company's own store,
and only then erases it at the provider. This is what it writes to the log, and what you may rely on when you read it.

Every entry is a CloudEvent in binary mode: attributes in headers, a JSON value. Entries of one key are in order, and
may come more than once. Fields, headers, channels and values of a field are only ever added: pass over what you do not
know. No key and no header carries content, a phone number or a message's id at the provider.

The schemas beside this document are JSON Schema, draft 2020-12. `samples/` has an entry of each channel.
""")


def document() -> Schema:
    """The whole document, in the order it is written."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Custody",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {one.stream.value: _channel(one) for one in CHANNELS},
        "operations": _operations(),
        "components": {
            "parameters": {
                "tenant": {
                    "description": "The client organisation: 1 to 40 of a-z, 0-9 and '-', which stands at no end.",
                    "examples": ["acme-life"],
                }
            },
            "messages": {one.stream.value: _message(one) for one in CHANNELS},
            "tags": {
                SUBSCRIBERS: {"name": SUBSCRIBERS, "description": "For internal services that subscribe."},
                WORKERS: {"name": WORKERS, "description": "For Custody's own workers, and for operators."},
            },
        },
    }


def address(stream: Stream) -> str:
    """A channel's topic, with `{tenant}` where it has one for each."""
    if stream is Stream.BODIES:
        return unclaimed_topic().name
    return topic_name("tenant", stream).replace(".tenant.", ".{tenant}.")


def _channel(one: Channel) -> Schema:
    where = address(one.stream)
    tenant = {"parameters": {"tenant": _ref("parameters", "tenant")}} if "{tenant}" in where else {}
    stays = one.stream in KEEP_FOREVER_STREAMS
    lasts = "Entries stay until they are settled." if stays else "Entries stay for the topic's retention."
    return {
        "address": where,
        "summary": one.summary,
        "description": f"{one.words} {one.repeats} {lasts}",
        **tenant,
        "messages": {one.stream.value: _ref("messages", one.stream.value)},
        "tags": [_ref("tags", one.audience)],
        "bindings": {
            "kafka": {
                "topicConfiguration": {"cleanup.policy": ["delete"]} | ({"retention.ms": -1} if stays else {}),
                **_BINDING,
            }
        },
    }


def _message(one: Channel) -> Schema:
    headers = "dead" if one.schema is None else "event"
    anything = {"description": "The entry's own bytes."}
    return {
        "name": one.event_type,
        "summary": one.summary,
        "contentType": "application/json",
        "headers": {"$ref": f"./schemas/headers/{headers}.json"},
        "payload": anything if one.schema is None else {"$ref": f"./schemas/{one.schema}.json"},
        "bindings": {
            "kafka": {"key": {"title": one.key.name, "description": one.key.words, "type": "string"}, **_BINDING}
        },
    }


def _operations() -> dict[str, Any]:
    sends = {f"send.{one.stream}": _operation("send", one) for one in CHANNELS}
    reads = {
        f"receive.{one.stream}.{group}": _operation("receive", one)
        | {"bindings": {"kafka": {"groupId": {"type": "string", "enum": [group]}, **_BINDING}}}
        for one in CHANNELS
        for group in one.groups
    }
    return sends | reads


def _operation(action: str, one: Channel) -> Schema:
    return {"action": action, "channel": {"$ref": f"#/channels/{one.stream}"}}


def _ref(group: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{group}/{name}"}
