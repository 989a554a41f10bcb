"""A reader that knows the contract's files and nothing of Custody: what it finds wrong with an entry."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator, FormatChecker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from broker.contract.files import Contract

_TENANT = "[a-z0-9-]+"
_KEYS: Mapping[str, Callable[[Mapping[str, str], Any], object]] = {
    "conversation": lambda _, value: value.get("envelope", value)["conversation"],
    "rate scope": lambda headers, _: headers["ce_source"].removeprefix("/"),
    "target": lambda _, value: value["target_id"],
    "place": lambda headers, _: headers["custody-dead-of"],
    "delivery": lambda _, value: value["delivery"]["id"],
}
"""What the keys' names stand for."""


class ContractReader:
    """Holds entries against the AsyncAPI document and the schemas."""

    def __init__(self, contract: Contract) -> None:
        self._document = contract.document
        self._validators = {
            name: Draft202012Validator(schema, format_checker=FormatChecker())
            for name, schema in contract.schemas.items()
        }

    def channel(self, topic: str) -> str | None:
        """The channel that a topic belongs to."""
        for name, one in self._document["channels"].items():
            if re.fullmatch(re.escape(one["address"]).replace(r"\{tenant\}", _TENANT), topic):
                return str(name)
        return None

    def problems(self, topic: str, key: bytes, headers: Sequence[tuple[str, bytes]], value: bytes) -> list[str]:
        """What of an entry is not as the contract says; without a word of the entry itself."""
        channel = self.channel(topic)
        if channel is None:
            return [f"{topic}: no channel"]
        message = self._document["components"]["messages"][channel]
        texts = {name: text.decode() for name, text in headers}
        found = [*self._faults(message["headers"], texts)]
        read = json.loads(value) if "$ref" in message["payload"] else None
        if read is not None:
            found += self._value_faults(message["payload"], read)
        named = message["bindings"]["kafka"]["key"]["title"]
        if not found and _KEYS[named](texts, read) != key.decode():
            found.append(f"the key is not the {named}")
        return [f"{channel}: {one}" for one in found]

    def _value_faults(self, payload: dict[str, str], value: Any) -> Iterator[str]:  # noqa: ANN401 - whatever JSON holds
        yield from self._faults(payload, value)
        content = value.get("content")
        if content is not None and "key_id" not in content:
            name = content["encoding"].removeprefix("custody/").removesuffix("+json")
            data = base64.b64decode(content["data"], validate=True)
            yield from self._faults({"$ref": f"./schemas/content/{name}.json"}, json.loads(data))

    def _faults(self, reference: dict[str, str], value: object) -> Iterator[str]:
        name = reference["$ref"].removeprefix("./schemas/")
        for fault in self._validators[name].iter_errors(value):
            yield f"{name}: {fault.json_path}: {fault.validator}"
