"""IncrementalAlterConfigs, which aiokafka lacks: sets single settings of a topic and leaves all others alone.

The older AlterConfigs, which aiokafka has, replaces the whole set: what it is not told of goes back to its default, and
so does whatever somebody sets between the reading and the writing.

Source: https://kafka.apache.org/43/design/protocol/#The_Messages_IncrementalAlterConfigs, 2026-11 (Kafka 2.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

if TYPE_CHECKING:
    from collections.abc import Mapping

TOPIC = 2
_SET = 0
_KEY = 44


class _Response(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = _KEY
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "responses",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class _Struct(RequestStruct):  # type: ignore[misc]  # likewise
    API_KEY = _KEY
    API_VERSION = 0
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(("name", String("utf-8")), ("config_operation", Int8), ("value", String("utf-8"))),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class SetTopicSettings(Request[_Struct]):  # type: ignore[misc]  # likewise
    """Sets these settings of these topics, by topic and by Kafka's own name."""

    API_KEY = _KEY

    def __init__(self, settings: Mapping[str, Mapping[str, str]]) -> None:
        self._resources = [
            (TOPIC, topic, [(name, _SET, value) for name, value in wanted.items()])
            for topic, wanted in settings.items()
        ]

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        """The request as it goes over the wire."""
        return request_struct_class(self._resources, False)  # noqa: FBT003 - not for validation alone
