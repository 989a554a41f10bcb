"""A row's seals: whatever is changed in it is named, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.memory import MemoryRecords
from broker.core import identity
from broker.core.seals import broken_seals
from tests.records import TENANT, Desk

if TYPE_CHECKING:
    from broker.core.ports import SealedRecord


async def sealed_text() -> SealedRecord:
    desk = Desk(1)
    store = MemoryRecords(desk.time)
    await store.keep([desk.arrive(desk.text('"Good morning"'))])
    (sealed,) = [one async for one in store.sealed(TENANT)]
    return sealed


def _with(sealed: SealedRecord, field: str, data: bytes) -> SealedRecord:
    changes: dict[str, Any] = {field: data}
    return replace(sealed, **changes)


@pytest.mark.parametrize("field", ["envelope", "arrival", "content"])
async def test_any_byte_changed_is_named(field: str) -> None:
    sealed = await sealed_text()
    whole: bytes = getattr(sealed, field)
    assert broken_seals(sealed) == ()
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        assert field in broken_seals(_with(sealed, field, changed)), place
    assert field in broken_seals(_with(sealed, field, whole[:-1] + b',"more":1}'))


async def test_a_digest_changed_breaks_what_it_seals() -> None:
    sealed = await sealed_text()
    assert broken_seals(replace(sealed, record_digest=bytes(32))) == ("envelope",)
    assert broken_seals(replace(sealed, arrival_digest=bytes(32))) == ("arrival",)


async def test_another_records_envelope_with_its_digest_is_no_envelope_of_this_row() -> None:
    sealed = await sealed_text()
    for known in (TENANT, sealed.record_id):
        other = sealed.envelope.replace(known.encode(), b"of-another")
        swapped = replace(sealed, envelope=other, record_digest=identity.record_digest(other))
        assert broken_seals(swapped) == ("envelope", "content")


@given(junk=st.binary())
async def test_junk_is_named_and_raises_nothing(junk: bytes) -> None:
    sealed = await sealed_text()
    found = broken_seals(replace(sealed, envelope=junk, arrival=junk, content=junk))
    assert found == ("envelope", "arrival", "content")
