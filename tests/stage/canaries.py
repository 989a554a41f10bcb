"""Canaries: words that nobody else would write, and the forms in which they could get out."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SHORTEST_BASE64 = 8
"""So many characters must be certain, whatever stands before and behind."""


@dataclass(frozen=True)
class Canary:
    """A word by its name. A `secret` may stand nowhere; anything else is content, and may stand where content does."""

    name: str
    word: bytes = field(repr=False)
    secret: bool = False

    @cached_property
    def forms(self) -> Mapping[str, bytes]:
        """Its forms by name."""
        return dict(_forms(self.word))

    def found_in(self, haystack: bytes) -> str | None:
        """The first of its forms that stands there."""
        return next((name for name, form in self.forms.items() if form in haystack), None)


def leaks(canaries: Iterable[Canary], haystacks: Mapping[str, bytes]) -> list[str]:
    """Where which canary stands, in which form."""
    flock = list(canaries)
    return [
        f"{canary.name}, {form}, in {name}"
        for name, haystack in haystacks.items()
        for canary in flock
        if (form := canary.found_in(haystack)) is not None
    ]


def _forms(word: bytes) -> Iterator[tuple[str, bytes]]:
    text = word.decode("latin-1")
    yield "plain", word
    yield "lower case", word.lower()
    yield "upper case", word.upper()
    yield "backwards", word[::-1]
    yield "hex", word.hex().encode()
    yield "HEX", word.hex().upper().encode()
    yield "percent", "".join(f"%{byte:02x}" for byte in word).encode()
    yield "PERCENT", "".join(f"%{byte:02X}" for byte in word).encode()
    yield "quoted", quote(word, safe="").encode()
    yield "JSON escapes", "".join(f"\\u{ord(one):04x}" for one in text).encode()
    yield "JSON ESCAPES", "".join(f"\\u{ord(one):04X}" for one in text).encode()
    for alignment in range(3):
        certain = _certain_base64(word, alignment)
        if len(certain) >= _SHORTEST_BASE64:
            yield f"base64, {alignment} bytes in", certain
            yield f"url-safe base64, {alignment} bytes in", certain.replace(b"+", b"-").replace(b"/", b"_")


def _certain_base64(word: bytes, alignment: int) -> bytes:
    """What base64 makes of the word `alignment` bytes into a group of three, but for what its neighbours decide."""
    encoded = base64.b64encode(bytes(alignment) + word)
    return encoded[-(-alignment * 8 // 6) : (alignment + len(word)) * 8 // 6]
