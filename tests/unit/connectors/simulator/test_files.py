from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.simulator import files

MIMES = ("image/jpeg", "image/png", "image/webp", "audio/ogg; codecs=opus", "video/mp4", "application/pdf", "text/x")


@given(size=st.integers(min_value=0, max_value=200_000), mime=st.sampled_from(MIMES))
def test_a_file_is_as_long_as_asked_and_hashes_to_its_digest(size: int, mime: str) -> None:
    whole = b"".join(files.chunks(seed=1, media_id="5", mime=mime, size=size))

    assert len(whole) == size
    assert sha256(whole).digest() == files.digest(seed=1, media_id="5", mime=mime, size=size)


@pytest.mark.parametrize(
    ("mime", "head"),
    [
        ("image/jpeg", b"\xff\xd8\xff\xe0"),
        ("image/png", b"\x89PNG"),
        ("image/webp", b"RIFF"),
        ("audio/ogg; codecs=opus", b"OggS"),
        ("application/pdf", b"%PDF-1.7"),
    ],
)
def test_a_file_begins_as_its_type_does(mime: str, head: bytes) -> None:
    assert next(files.chunks(seed=1, media_id="5", mime=mime, size=1_000)).startswith(head)


def test_a_large_file_comes_in_bounded_pieces() -> None:
    pieces = files.chunks(seed=1, media_id="5", mime="application/pdf", size=10_000_000)

    assert max(map(len, pieces)) <= files.CHUNK_BYTES


def test_seed_and_id_make_the_bytes() -> None:
    def made(seed: int, media_id: str) -> bytes:
        return b"".join(files.chunks(seed=seed, media_id=media_id, mime="image/jpeg", size=500))

    assert made(1, "5") == made(1, "5")
    assert len({made(1, "5"), made(2, "5"), made(1, "6")}) == 3
