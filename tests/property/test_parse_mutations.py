"""Samples, mutated in thousands of ways: nothing raises, every element is an item, all of it can be sealed.

`CUSTODY_MUTATIONS` says how many webhooks are mutated as JSON; a quarter as many more are mutated as bytes.
"""

from __future__ import annotations

import copy
import json
import os
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any
from unittest import mock

import hypothesis
from hypothesis import strategies as st

from broker.core import codec
from broker.core.model import Kind
from connectors.whatsapp_cloud.parse import parse
from connectors.whatsapp_cloud.parsing import drafts, fields, message_types, slices, statuses
from tests.unit.connectors.whatsapp_cloud.parse_samples import SAMPLES, compact, elements, reported, sealed

if TYPE_CHECKING:
    from broker.core.item import Item

EXAMPLES = int(os.environ.get("CUSTODY_MUTATIONS", "10000"))

BODIES = [sample.body for sample in SAMPLES]
NAMES = sorted({name for body in BODIES for name in json.dumps(body).split('"') if name.isidentifier()})
TYPES = {
    *message_types._BODIES,
    *(f"interactive.{name}" for name in message_types._INTERACTIVE),
    *message_types._SYSTEM,
    *("interactive", "interactive.other", "reaction", "reaction_removed", "edit", "revoke", "system", "unsupported"),
    *statuses.STATUSES,
    *(statuses.OTHER_STATUS, "call_status", "history_progress", "history_thread"),
    *fields.EVENT_TYPES.values(),
    *fields.GROUP_TYPES,
    *fields.CALL_TYPES.values(),
    *(fields.GROUP_OTHER, fields.CALL_OTHER, fields.UNKNOWN_FIELD, fields.UNKNOWN_ITEM),
    *("provider_dropped", "provider_error", "not_json", "unknown_shape"),
    *("same_person", "changed_number", "changed_user_id"),
}

any_text = st.text(st.characters(), max_size=12)  # lone surrogates and NUL among them
odd_values = [
    *(None, True, False, 0, -1, 1.5, 2**63, 10**30, 10**400, float("nan"), float("-inf"), 1785225600000, 131035),
    *("", "\x00", "\ud800", "text", "group", "call", "27605550101", "ZA.1", "wamid.X", "1785225600", "1" * 30),
    *([], {}, [None], [[]], [{}], {"id": "1"}, {"id": "1", "mime_type": "a/b"}, {"type": "text"}, {"": {}}),
    *({"text": {"body": 1}}, {"message": {"type": "edit"}}, {"messages": [1, {"id": 2}]}, {"threads": [{"id": []}]}),
    *(json.loads("[" * depth + "]" * depth) for depth in (63, 65, 150)),
]
junk = st.sampled_from(odd_values) | st.sampled_from(NAMES) | any_text | st.integers() | st.floats()
places = st.integers(0, 2**16)
mutations = st.lists(
    st.tuples(st.sampled_from(["put", "drop", "double", "swap", "wrap", "rename", "add"]), places, places, junk),
    min_size=1,
    max_size=4,
)


def mutated(body: Any, steps: list[tuple[str, int, int, Any]]) -> Any:  # noqa: ANN401 - any JSON
    root = [copy.deepcopy(body)]
    for what, first, second, value in steps:
        slots = slots_of(root)
        container, name = slots[first % len(slots)]
        MUTATIONS[what](container, name, slots[second % len(slots)], copy.deepcopy(value))
    return root[0] if root else None


def slots_of(container: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401 - any JSON
    """Every place in a value: its container, and its name or number there."""
    found, waiting = [], [container]
    while waiting:
        one = waiting.pop()
        for name in list(one) if isinstance(one, dict) else range(len(one)):
            found.append((one, name))
            if isinstance(one[name], dict | list):
                waiting.append(one[name])
    return found or [([None], 0)]


def put(container: Any, name: Any, _other: Any, value: Any) -> None:  # noqa: ANN401 - any JSON
    container[name] = value


def drop(container: Any, name: Any, _other: Any, _value: Any) -> None:  # noqa: ANN401 - any JSON
    if container != []:
        del container[name]


def double(container: Any, name: Any, _other: Any, _value: Any) -> None:  # noqa: ANN401 - any JSON
    if isinstance(container, list):
        container.append(copy.deepcopy(container[name]))
    else:
        container[f"{name}_"] = copy.deepcopy(container[name])


def swap(container: Any, name: Any, other: Any, _value: Any) -> None:  # noqa: ANN401 - any JSON
    one, two = copy.deepcopy(container[name]), copy.deepcopy(other[0][other[1]])
    container[name], other[0][other[1]] = two, one


def wrap(container: Any, name: Any, _other: Any, value: Any) -> None:  # noqa: ANN401 - any JSON
    container[name] = [container[name]] if isinstance(value, bool) else {"messages": [container[name]]}


def rename(container: Any, name: Any, other: Any, _value: Any) -> None:  # noqa: ANN401 - any JSON
    if isinstance(container, dict):
        container[str(other[1])] = container.pop(name)


def add(container: Any, _name: Any, other: Any, value: Any) -> None:  # noqa: ANN401 - any JSON
    if isinstance(container, dict):
        container[NAMES[zlib.crc32(repr(other[1]).encode()) % len(NAMES)]] = value
    else:
        container.insert(0, value)


MUTATIONS = {"put": put, "drop": drop, "double": double, "swap": swap, "wrap": wrap, "rename": rename, "add": add}


def checked_items(data: bytes) -> list[Item]:
    """The items of a body, none of them for a fault of ours, each fit to be sealed."""
    with (
        mock.patch.object(drafts, "rescued", side_effect=AssertionError),
        mock.patch.object(drafts, "rescued_item", side_effect=AssertionError),
    ):
        changes = parse(data)
    assert all(change.items for change in changes)
    items = [item for change in changes for item in change.items]
    assert {item.type for item in items} <= TYPES
    for item, record in zip(items, sealed(items), strict=True):
        assert codec.decode_record(codec.canonical(record)) == record
        content = codec.item_content(record.content)
        assert item.raw in (content.item_base64, bytes(content.item) if content.item else None)
        assert item.kind == Kind.GAP or content.context
    return items


@hypothesis.settings(max_examples=EXAMPLES, deadline=None)
@hypothesis.given(body=st.sampled_from(BODIES), steps=mutations)
def test_every_element_of_a_mutated_webhook_is_an_item(body: dict[str, Any], steps: list[Any]) -> None:
    changed = mutated(body, steps)
    data = compact(changed)
    kept = Counter(item.raw for item in reported(checked_items(data)))
    wanted = Counter(compact(one) for one in elements(changed))
    assert wanted <= kept
    for change in parse(data):
        assert parse(change.body)[0].items == change.items


cuts = st.tuples(st.sampled_from(["put", "cut", "twice"]), places, st.integers(0, 40), st.binary(max_size=6))
marks = st.sampled_from(
    [b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\\ud800", b"\x00", b"\xff", b"1e999", b"NaN"]
)


@hypothesis.settings(max_examples=EXAMPLES // 4, deadline=None)
@hypothesis.example(body={"object": "of_no_known_shape"}, steps=[("put", 31, 0, b"\n")], mark=b"", spaced=False)
@hypothesis.given(
    body=st.sampled_from(BODIES), steps=st.lists(cuts, min_size=1, max_size=4), mark=marks, spaced=st.booleans()
)
def test_a_webhook_with_broken_bytes_is_kept_whole(
    body: dict[str, Any], steps: list[Any], mark: bytes, spaced: bool
) -> None:
    data = json.dumps(body, indent=1).encode() if spaced else compact(body)
    for what, place, length, some in steps:
        start = place % (len(data) + 1)
        inner = data[start : start + length]
        data = data[:start] + {"put": some + mark, "cut": b"", "twice": inner + inner}[what] + data[start + length :]
    items = checked_items(data)
    assert items
    assert all(item.raw in data for item in reported(items))


pieces = st.sampled_from(
    [b'"a"', b'"\\ud800"', b'"\xff"', b'"\x00\n"', b"NaN", b"1e999", b'{"a":"]"}', b'["\\\\",{}]', b"[]"]
)
names = st.sampled_from([b'"a"', b'"\\u0061"', b'"b\\\\"', b'"caf\xc3\xa9"', b'"NaN"', b'"\\udfff"', b'"\xfe"', b'""'])
spaces = st.sampled_from([b"", b"", b"", b" "])


@hypothesis.settings(max_examples=500, deadline=None)
@hypothesis.given(st.lists(st.tuples(names, spaces, pieces, spaces), max_size=5))
def test_an_object_is_cut_alike_by_msgspec_its_stand_in_and_the_scanner(drawn: list[tuple[bytes, ...]]) -> None:
    data = b"{" + b",".join(name + b":" + before + value + after for name, before, value, after in drawn) + b"}"
    assert slices.members(data) == slices._scanned_members(data)
    assert [value for _, value in slices.members(data) or []] == [value for _, _, value, _ in drawn]


@hypothesis.settings(max_examples=500, deadline=None)
@hypothesis.given(st.lists(st.tuples(spaces, pieces, spaces), max_size=5))
def test_an_array_is_cut_alike_by_msgspec_its_stand_in_and_the_scanner(drawn: list[tuple[bytes, ...]]) -> None:
    data = b"[" + b",".join(b"".join(one) for one in drawn) + b"]"
    assert slices.elements(data) == slices._scanned_elements(data) == [value for _, value, _ in drawn]
