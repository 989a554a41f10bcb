"""Single values: moments, numbers, ids and MIME types, as they come and as they should not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.whatsapp_cloud.parsing.media import media_parts, media_within, mime_of, without_urls
from connectors.whatsapp_cloud.parsing.people import number_or_id, phone, user_id
from connectors.whatsapp_cloud.parsing.slices import elements, members, nesting, outline
from connectors.whatsapp_cloud.parsing.values import moment_of, text_of

MOMENT = datetime(2026, 7, 28, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize("value", ["1785225600", 1785225600, 1785225600.0, "1785225600000", 1785225600000])
def test_a_moment_comes_in_seconds_or_milliseconds_as_text_or_number(value: object) -> None:
    assert moment_of(value) == MOMENT


@pytest.mark.parametrize(
    "value",
    [None, "", "0", 0, 1, -5, "1e9", "soon", True, 10**30, 10**400, "9" * 30, "٣", 4_102_444_800, [], {}, 1e300],
)
def test_what_can_be_no_moment_of_whatsapp_is_none(value: object) -> None:
    assert moment_of(value) is None


@pytest.mark.parametrize("value", ["27605550101", "+27 60 555 0101", "+27 (60) 555-01.01", 27605550101])
def test_a_phone_is_digits(value: object) -> None:
    assert phone(value) == "27605550101"


@pytest.mark.parametrize("value", [None, "", "ZA.1", "27605550101@c.us", "٢٧٦", "²", True, "1" * 33, [], {"a": 1}, 2.5])
def test_what_is_no_phone_is_none(value: object) -> None:
    assert phone(value) is None


def test_a_bsuid_where_a_phone_is_meant_is_still_a_bsuid() -> None:
    assert number_or_id("ZA.1349") == (("bsuid", "ZA.1349"),)
    assert number_or_id("ZA.ENT.118") == (("parent_bsuid", "ZA.ENT.118"),)
    assert number_or_id("somebody") == ()


def test_a_changed_bsuid_shows_both() -> None:
    assert user_id({"previous": "ZA.1", "current": "ZA.2"}) == (("bsuid", "ZA.1"), ("bsuid", "ZA.2"))
    assert user_id({"previous": None}) == ()


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (7, "7"), ("", None), (True, None), (1.5, None), ([], None)])
def test_a_text_says_something(value: object, text: str | None) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "mime"),
    [
        ("image/jpeg", "image/jpeg"),
        ("Audio/OGG; codecs=opus", "audio/ogg"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document",) * 2,
        ("text/27605550101 secret", "application/octet-stream"),
        ("secret/jpeg", "application/octet-stream"),
        ("image/", "application/octet-stream"),
        ("image/" + "a" * 81, "application/octet-stream"),
        ("image/jpeg\n", "image/jpeg"),
        ("imäge/jpeg", "application/octet-stream"),
        (None, "application/octet-stream"),
        (7, "application/octet-stream"),
    ],
)
def test_a_mime_type_in_clear_has_a_closed_form(value: object, mime: str) -> None:
    assert mime_of(value) == mime


@pytest.mark.parametrize("object_id", [None, "", 7, "a b", "x" * 129, "1\n", "é", {"id": "1"}, "<MEDIA_ID>"])
def test_a_medium_without_an_id_to_ask_for_is_no_part(object_id: object) -> None:
    assert media_parts({"id": object_id, "mime_type": "image/jpeg"}, "image") == ()


@pytest.mark.parametrize(("size", "read"), [(9, 9), ("9", 9), (-1, None), ("many", None), (10**20, None), (2.5, None)])
def test_a_size_is_a_whole_number(size: object, read: int | None) -> None:
    (part,) = media_parts({"id": "1", "file_size": size}, "document")
    assert part.size == read


def test_media_are_found_anywhere_each_once() -> None:
    photo = {"id": "1", "mime_type": "image/jpeg"}
    cards = [{"header": {"image": photo}}, {"header": {"image": photo}}, {"header": {"video": {"id": "2"}}}]
    found = media_within(
        {"interactive": {"cards": cards, "button": {"id": "yes"}}, "ptv": {"id": "3", "mime_type": "a"}}
    )
    assert [(part.media_kind, part.object_id) for part in found] == [("image", "1"), ("video", "2"), ("other", "3")]


def test_only_media_lose_their_url() -> None:
    value = {"image": {"id": "1", "url": "https://a"}, "location": {"url": "https://b"}, "list": [{"url": "https://c"}]}
    kept = {"image": {"id": "1"}, "location": {"url": "https://b"}, "list": [{"url": "https://c"}]}
    assert without_urls(value) == kept


@pytest.mark.parametrize(
    ("data", "cut"),
    [
        (b"{}", []),
        (b'{"a":1}', [("a", b"1")]),
        (b' { "a" : [1, 2] , "b" :\t{} } ', [("a", b"[1, 2]"), ("b", b"{}")]),
        (b'{"a":1,"a":2}', [("a", b"1"), ("a", b"2")]),
        (b'{"a": 1, "\\u0061": 2}', [("a", b"1"), ("a", b"2")]),
        (b'{"a":"\\ud800","b":NaN}', [("a", b'"\\ud800"'), ("b", b"NaN")]),
        (b'{"\\ud800":1}', [("\\ud800", b"1")]),
        (b'{"caf\xc3\xa9":"\\"a\\":"}', [("café", b'"\\"a\\":"')]),
        (b"[1]", None),
        (b'"a"', None),
        (b'{"a":1}x', None),
    ],
)
def test_an_object_is_cut_into_all_its_members(data: bytes, cut: list[tuple[str, bytes]] | None) -> None:
    assert members(data) == cut


@pytest.mark.parametrize(
    ("data", "cut"),
    [
        (b"[]", []),
        (b' [ 1 , "a,]" ,[],{"b":[2]} ] ', [b"1", b'"a,]"', b"[]", b'{"b":[2]}']),
        (b'["\\ud800", NaN]', [b'"\\ud800"', b"NaN"]),
        (b"{}", None),
        (b"[1", None),
    ],
)
def test_an_array_is_cut_into_its_elements(data: bytes, cut: list[bytes] | None) -> None:
    assert elements(data) == cut


@pytest.mark.parametrize(
    ("data", "depth"),
    [(b"1", 0), (b"[]", 1), (b'{"a":[[1],2],"b":{}}', 3), (b'["[[[\\"[", "]"]', 1), (b"[" * 600 + b"]" * 600, 600)],
)
def test_nesting_is_counted_outside_texts(data: bytes, depth: int) -> None:
    assert nesting(data) == depth


@pytest.mark.parametrize("data", [b"[" * 600 + b"]" * 600, b'{"a":' * 600 + b"1" + b"}" * 600])
def test_what_nests_beyond_reason_has_no_outline(data: bytes) -> None:
    assert outline(data) is None
