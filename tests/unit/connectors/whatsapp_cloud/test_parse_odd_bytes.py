"""Whatever the bytes: nothing raises, nothing is dropped, and what is kept is kept byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from broker.core.model import Kind
from connectors.whatsapp_cloud.parse import parse
from connectors.whatsapp_cloud.parsing import drafts, envelope
from tests.unit.connectors.whatsapp_cloud.parse_samples import BY_NAME, all_items, compact, reported, sealed

if TYPE_CHECKING:
    from broker.core.item import Item

TEXT = b'{"from":"27605550102","id":"wamid.A","timestamp":"1785225600","type":"text","text":{"body":%s}}'


def webhook(message: bytes, *, contacts: bytes = b"[]", more: bytes = b"") -> bytes:
    value = b'{"messaging_product":"whatsapp","contacts":' + contacts + b',"messages":[' + message + b"]" + more + b"}"
    return (
        b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"value":%s,"field":"messages"}]}]}'
        % value
    )


def only(data: bytes) -> Item:
    (item,) = reported(all_items(data))
    return item


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"hello", b"{", b'{"entry":[', b"[1,]", b'{"a" 1}', b'"\\x"', b"01", b"\xff\xfe{\x00"),
        *(b'\xef\xbb\xbf{"entry":[]}', b'{"entry":[]}x', b"{}{}", b"nul", b"-", b'{"a":1,}', b"[1 2]", b"]"),
        *(b'{"a":1]', b"{1:2}"),
    ],
)
def test_what_is_not_json_is_one_gap_with_the_body(body: bytes) -> None:
    (change,) = parse(body)
    (item,) = change.items
    assert (item.kind, item.type, item.raw, item.native_key) == (Kind.GAP, "not_json", body, ())
    assert (change.account, change.account_group, change.body) == (None, None, body)


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b"17",
        b'"text"',
        b"NaN",
        b"{}",
        b'{"entry":[]}',
        b'{"entry":null}',
        b'[{"entry":[]}]',
        b'{"object":"page"}',
    ],
)
def test_json_of_another_shape_is_one_gap_with_the_body(body: bytes) -> None:
    item = only(body)
    assert (item.kind, item.type, item.raw) == (Kind.GAP, "unknown_shape", body)


@pytest.mark.parametrize(
    ("body", "raw"),
    [
        (b'{"entry":[5]}', b"5"),
        (b'{"entry":{"id":"1"}}', b'{"id":"1"}'),
        (b'{"entry":[{"id":"1","changes":[]}]}', b'{"id":"1","changes":[]}'),
        (b'{"entry":[{"id":"1","messaging":[{"mid":"m"}]}]}', b'{"id":"1","messaging":[{"mid":"m"}]}'),
        (b'{"entry":[{"id":"1","changes":[7]}]}', b"7"),
        (b'{"entry":[{"id":"1","changes":[{"field":"messages"}]}]}', b'{"field":"messages"}'),
        (b'{"entry":[{"id":"1","changes":[{"field":"messages","value":[1]}]}]}', b"[1]"),
        (b'{"entry":[{"id":"1","changes":[{"field":"messages","value":{}}]}]}', b"{}"),
        (b'{"entry":[{"id":"1","changes":[{"field":"messages","value":{"messages":{"0":1}}}]}]}', b'{"0":1}'),
        (b'{"entry":[{"id":"1","changes":[{"field":"messages","value":{"statuses":[3]}}]}]}', b"3"),
    ],
)
def test_an_odd_piece_is_a_gap_by_itself(body: bytes, raw: bytes) -> None:
    item = only(body)
    assert (item.kind, item.type, item.raw) == (Kind.GAP, "unknown_shape", raw)


@pytest.mark.parametrize("element", [b"5", b"null", b"[]", b'"text"', b"{}", b'{"type":7}', b'{"type":"text"}', b"NaN"])
def test_an_odd_message_is_unsupported(element: bytes) -> None:
    item = only(webhook(element))
    assert (item.kind, item.type, item.raw, item.native_key) == (Kind.MESSAGE, "unsupported", element, ())


@pytest.mark.parametrize(
    "body",
    [
        b'"a \\u0000 b"',
        b'"\\ud800"',
        b'"\\udc00 low first"',
        b'"\\ud83d and no more"',
        b'"\xed\xa0\x80"',
        b'"\xff\xfe no UTF-8"',
        b'"a\nraw newline and a \x00"',
        b'"\\ud83d\\ude97 car"',
        b'"caf\xc3\xa9 \\/ \\u00e9"',
    ],
)
def test_a_text_of_any_bytes_is_kept_byte_for_byte(body: bytes) -> None:
    element = TEXT % body
    item = only(webhook(element))
    assert (item.kind, item.type, item.native_key, item.raw) == (Kind.MESSAGE, "text", ("wamid.A",), element)
    assert item.thread == ("phone", "27605550102")
    assert json.loads(item.counted)["type"] == "text"
    assert item.counted != only(webhook(TEXT % b'"another"')).counted
    (record,) = sealed([item])
    assert record.content.data


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity", b"1" * 500, b"0.1e1", b"-0", b"1E+2"])
def test_a_number_of_any_size_spoils_nothing(number: bytes) -> None:
    element = (TEXT % b'"hello"')[:-1] + b',"extra":' + number + b"}"
    item = only(webhook(element))
    assert (item.type, item.native_key, item.raw) == ("text", ("wamid.A",), element)
    assert item.counted != only(webhook(TEXT % b'"hello"')).counted


def test_one_broken_element_leaves_its_neighbours_as_they_are() -> None:
    good = TEXT.replace(b"wamid.A", b"wamid.B") % b'"fine"'
    alone = only(webhook(good))
    broken, beside = reported(all_items(webhook(TEXT % b'"\\ud800"' + b" , " + good)))
    assert broken.raw == TEXT % b'"\\ud800"'
    assert (beside.raw, beside.counted, beside.native_key) == (alone.raw, alone.counted, alone.native_key)


def test_spaces_inside_an_element_are_kept_and_do_not_count() -> None:
    spaced = b'{ "id" :\t"wamid.A" ,\r\n "type":"text" , "text" : { "body":"x" } }'
    item = only(webhook(b" \n" + spaced + b"\t"))
    assert item.raw == spaced
    assert item.counted == only(webhook(b'{"id":"wamid.A","type":"text","text":{"body":"x"}}')).counted


@pytest.mark.parametrize("name", [b'"messages"', b'"m\\u0065ssages"'])
@pytest.mark.parametrize("space", [b"", b" "])
def test_an_array_given_twice_loses_nothing(name: bytes, space: bytes) -> None:
    twice = webhook(TEXT % b'"first"', more=b"," + name + b":" + space + b"[" + TEXT % b'"second"' + b"]")
    assert [item.raw for item in reported(all_items(twice))] == [TEXT % b'"first"', TEXT % b'"second"']


@pytest.mark.parametrize("depth", [65, 200, 900, 1100, 5000, 200_000])
def test_nesting_without_end_is_a_gap_and_no_crash(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    element = (TEXT % b'"x"')[:-1] + b',"extra":' + deep + b"}"
    item = only(webhook(element))
    assert (item.kind, item.type) == (Kind.GAP, "unknown_shape")
    assert deep in item.raw


@pytest.mark.parametrize("depth", [65, 200])
def test_nesting_in_one_element_leaves_its_neighbours_as_they_are(depth: int) -> None:
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    good = TEXT % b'"fine"'
    gap, fine = reported(all_items(webhook(deep + b"," + good)))
    assert (gap.kind, gap.raw, fine.raw) == (Kind.GAP, deep, good)


def test_nesting_within_the_bound_is_read() -> None:
    element = (TEXT % b'"x"')[:-1] + b',"extra":' + b"[" * 63 + b"]" * 63 + b"}"
    assert only(webhook(element)).type == "text"


def test_a_context_that_is_broken_is_rewritten_and_not_lost() -> None:
    contacts = b'[{"wa_id":"27605550102","profile":{"name":"\\ud800 Pieter"}}]'
    item = only(
        webhook(TEXT % b'"x"', contacts=contacts, more=b',"odd":NaN,"deep":{"a":' + b"[" * 99 + b"]" * 99 + b"}")
    )
    context = json.loads(item.context or b"")
    assert context["contacts"][0]["profile"]["name"] == "\\ud800 Pieter"
    assert context["value"]["odd"] == "NaN"
    assert context["value"]["deep"]


def test_what_stands_around_a_change_stands_in_its_context() -> None:
    value: dict[str, Any] = {"metadata": {"phone_number_id": "3"}, "statuses": [{"id": "wamid.A"}], "extra": {"a": 1}}
    change = {"field": "messages", "value": value, "sequence": 7}
    body = {"object": "whatsapp", "batch": 1, "entry": [{"id": "1", "time": 5, "uid": "u", "changes": [change]}]}
    context = json.loads(only(compact(body)).context or b"")
    assert context == {
        "waba": "1",
        "time": 5,
        "field": "messages",
        "metadata": {"phone_number_id": "3"},
        "body": {"object": "whatsapp", "batch": 1},
        "entry": {"uid": "u"},
        "change": {"sequence": 7},
        "value": {"extra": {"a": 1}},
    }


def test_much_that_surrounds_many_items_stands_in_one_context_and_not_in_each() -> None:
    much = b'"%s"' % (b"x" * 5000)
    messages = b",".join(TEXT.replace(b"wamid.A", b"wamid.%d" % number) % b'"x"' for number in range(50))
    contacts = b'[{"wa_id":"27605550102","profile":{"name":%s}}]' % much
    items = all_items(webhook(messages, contacts=contacts, more=b',"extra":' + much))
    assert [(item.context or b"").count(much) for item in items] == [2] + [0] * 49


def test_much_that_surrounds_many_changes_stands_in_the_body_of_the_first() -> None:
    much = "x" * 5000
    change = {"field": "account_update", "value": {"event": "ACCOUNT_RECONNECTED"}}
    entry = {"id": "1", "time": 5, "uid": much, "changes": [change] * 20}
    changes = parse(compact({"object": "whatsapp_business_account", "batch": much, "entry": [entry, entry]}))
    assert [change.body.count(much.encode()) for change in changes] == [2, *[0] * 19, 1, *[0] * 19]
    assert {change.account_group for change in changes} == {"1"}


def test_thousands_of_contacts_with_one_name_cost_no_more_than_others() -> None:
    contacts = b"[" + b",".join([b'{"wa_id":"27605550102"}'] * 20_000) + b"]"
    messages = b",".join([TEXT % b'"x"'] * 2000)
    data = webhook(messages, contacts=contacts)
    items = reported(all_items(data))
    assert sum(len(item.context or b"") for item in items) < 4 * len(data)
    assert (items[0].context or b"").count(b"wa_id") == 20_000


@pytest.mark.parametrize("text", [f"wamid.{chr(0xD800)}", f"wamid.{chr(0xDC80)}"])
def test_ids_and_names_can_be_sealed_whatever_they_are(text: str) -> None:
    message: dict[str, Any] = {
        "from": text,
        "from_user_id": text,
        "id": text,
        "type": "document",
        "timestamp": text,
        "group_id": text,
    }
    message |= {"document": {"id": "1", "filename": text, "sha256": text, "url": text, "mime_type": text}}
    message |= {"context": {"id": text}}
    body = {"entry": [{"id": text, "changes": [{"field": text, "value": {"messages": [message], "contacts": [text]}}]}]}
    (record,) = sealed(reported(all_items(compact(body))))
    assert record.envelope.parts[0].mime == "application/octet-stream"


@pytest.mark.parametrize("junk", [None, True, 17, 1.5, "x", [], {}, [None], {"id": 1}], ids=repr)
def test_junk_in_any_field_of_a_message_raises_nothing(junk: object, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rescued", "rescued_item"):
        monkeypatch.setattr(drafts, name, _must_not_be_reached)
    for sample in BY_NAME.values():
        for path in _paths(sample.body):
            assert all_items(compact(_with(sample.body, path, junk)))


def test_a_fault_in_a_builder_costs_the_details_and_never_the_item(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(_raw: bytes, _scene: object) -> tuple[()]:
        raise ZeroDivisionError

    monkeypatch.setitem(envelope._BUILDERS, "messages", faulty)
    item = only(webhook(TEXT % b'"x"'))
    assert (item.kind, item.type, item.raw) == (Kind.GAP, "unknown_shape", TEXT % b'"x"')


@pytest.mark.parametrize("name", ["finished", "scene", "cuts", "each", "origin_of"])
def test_a_fault_anywhere_else_still_gives_an_item(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, name, None)
    body = webhook(TEXT % b'"x"')
    item = only(body)
    assert (item.kind, item.type) == (Kind.GAP, "unknown_shape")
    assert TEXT % b'"x"' in item.raw


def _must_not_be_reached(raw: bytes) -> None:
    message = f"a builder failed on {raw!r}"
    raise AssertionError(message)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - any JSON
    names = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [found for name in names for found in ((*path, name), *_paths(value[name], (*path, name)))]


def _with(value: Any, path: tuple[Any, ...], junk: object) -> Any:  # noqa: ANN401 - any JSON
    if not path:
        return junk
    copied = value.copy()
    copied[path[0]] = _with(value[path[0]], path[1:], junk)
    return copied
