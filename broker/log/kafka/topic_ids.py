"""The ids of topics, which aiokafka's own requests are too old to ask for: a topic made anew has another one.

Source: https://cwiki.apache.org/confluence/display/KAFKA/KIP-516%3A+Topic+Identifiers, 2026-11 (Kafka 2.8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from io import BytesIO

_KEY = 3
_VERSION = 10
_NO_ID = bytes(16)


class _Uuid(AbstractType[bytes]):  # type: ignore[misc]  # aiokafka has no types
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _Response(Response):  # type: ignore[misc]  # likewise
    API_KEY = _KEY
    API_VERSION = _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _Struct(RequestStruct):  # type: ignore[misc]  # likewise
    FLEXIBLE_VERSION = True
    API_KEY = _KEY
    API_VERSION = _VERSION
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class AskTopicIds(Request[_Struct]):  # type: ignore[misc]  # likewise
    """Asks for the ids of these topics. `NotImplementedError` when sent to a broker older than Kafka 2.8."""

    API_KEY = _KEY

    def __init__(self, topics: Collection[str]) -> None:
        self._topics: list[tuple[bytes, str, Mapping[int, bytes]]] = [(_NO_ID, topic, {}) for topic in sorted(topics)]

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        """The request as it goes over the wire: it creates nothing."""
        return request_struct_class(self._topics, False, False, False, {})  # noqa: FBT003 - by their place


def ids_of(answer: _Response) -> Mapping[str, bytes]:
    """By topic; those that are not there, or have none, are left out."""
    found = answer.topics or ()
    return {name: topic_id for code, name, topic_id, *_ in found if not code and topic_id != _NO_ID}
