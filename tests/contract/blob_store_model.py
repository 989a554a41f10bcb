"""Any order of writing and reading: two blob stores give the same answers and hold the same bytes.

Chunks differ in size between stores, so sizes are drawn around the borders of both.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.contract.blob_store import PLENTY, SourceFailedError, pieces, some_bytes
from tests.contract.two_stores import Pair, Refused, Side, side_by_side
from tests.records import Time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from broker.core.ports import BlobInfo, BlobStore

EXAMPLES, STEPS = int(os.environ.get("CUSTODY_TEST_EXAMPLES", "25")), 15
PLACES = st.sampled_from(
    [f"{tenant}/rec_{name}/{part}" for tenant in ("acme", "other") for name in "ab" for part in (1, 2)]
)
PIECES = st.sampled_from([777, 1024, 70_000, 1 << 24])


class BlobStoreMachine(RuleBasedStateMachine):
    """`pair` and `borders`, the sizes of chunks and parts, are set by the test."""

    pair: ClassVar[Pair[BlobStore]]
    borders: ClassVar[Sequence[int]]

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[str, bytes] = {}

    @initialize()
    def begin(self) -> None:
        self.pair.empty()

    @rule(place=PLACES, piece=PIECES, is_announced=st.booleans(), data=st.data())
    def put(self, place: str, piece: int, is_announced: bool, data: st.DataObject) -> None:
        """To a free place, or to a taken one, which is refused."""
        blob = self._blob(data)
        sha256 = hashlib.sha256(blob).digest() if is_announced else None
        found = self.pair.ask(lambda store: _put(store, place, blob, piece=piece, sha256=sha256))
        assert isinstance(found, Refused) == (place in self.written)
        self.written.setdefault(place, blob)

    @rule(place=PLACES, piece=PIECES, short=st.integers(1, 2000), data=st.data())
    def put_too_much(self, place: str, piece: int, short: int, data: st.DataObject) -> None:
        blob = self._blob(data) + b"!"
        limit = max(0, len(blob) - short)
        found = self.pair.ask(lambda store: _put(store, place, blob, piece=piece, max_bytes=limit))
        assert isinstance(found, Refused)

    @rule(place=PLACES, piece=PIECES, data=st.data())
    def put_other_bytes_than_announced(self, place: str, piece: int, data: st.DataObject) -> None:
        blob = self._blob(data)
        announced = hashlib.sha256(blob + b"!").digest()
        found = self.pair.ask(lambda store: _put(store, place, blob, piece=piece, sha256=announced))
        assert isinstance(found, Refused)

    @rule(place=PLACES, piece=PIECES, data=st.data())
    def put_from_a_source_that_fails(self, place: str, piece: int, data: st.DataObject) -> None:
        blob = self._blob(data)
        found = self.pair.ask(lambda store: _put_and_fail(store, place, blob, piece=piece))
        assert isinstance(found, Refused) == (place in self.written)

    @rule(place=PLACES)
    def read(self, place: str) -> None:
        """What lies there, whole; or that nothing does."""
        found = self.pair.ask(lambda store: _read(store, place))
        assert isinstance(found, Refused) == (place not in self.written)
        assert isinstance(found, Refused) or found == self.written[place]

    @invariant()
    def both_hold_what_was_written(self) -> None:
        for place in [*self.written, "acme/rec_nobody/1"]:
            info = self._stat(place)
            blob = self.written.get(place)
            assert (None if info is None else (info.size, info.sha256)) == (
                None if blob is None else (len(blob), hashlib.sha256(blob).digest())
            )

    def _stat(self, place: str) -> BlobInfo | None:
        return self.pair.tell(lambda store: _stat(store, place))

    def _blob(self, data: st.DataObject) -> bytes:
        around = st.tuples(st.sampled_from(self.borders), st.integers(0, 3), st.integers(-3, 3))
        sizes = around.map(lambda one: max(0, one[0] * one[1] + one[2])) | st.integers(0, 5000)
        first = data.draw(st.binary(max_size=4))
        return first + some_bytes(data.draw(sizes))


async def _put(
    store: BlobStore, place: str, blob: bytes, *, piece: int, sha256: bytes | None = None, max_bytes: int = PLENTY
) -> BlobInfo:
    info = await store.put(place, pieces(blob, piece), max_bytes=max_bytes, sha256=sha256)
    assert info == await store.stat(place)
    return _without_version(info)


async def _put_and_fail(store: BlobStore, place: str, blob: bytes, *, piece: int) -> str:
    """Every store passes on what its source raised."""

    async def failing() -> AsyncIterator[bytes]:
        async for one in pieces(blob, piece):
            yield one
        raise SourceFailedError

    try:
        await store.put(place, failing(), max_bytes=PLENTY)
    except SourceFailedError:
        return "the source failed"
    raise AssertionError(place)


async def _stat(store: BlobStore, place: str) -> BlobInfo | None:
    info = await store.stat(place)
    return None if info is None else _without_version(info)


async def _read(store: BlobStore, place: str) -> bytes:
    return b"".join([chunk async for chunk in store.open(place)])


def _without_version(info: BlobInfo) -> BlobInfo:
    """Each store names versions as it likes."""
    assert info.version
    return replace(info, version="")


def run_blob_store_machine(left: Side[BlobStore], right: Side[BlobStore], borders: Sequence[int]) -> None:
    """Lets hypothesis find an order of writes and reads that the two stores disagree about."""
    with side_by_side(left, right, Time()) as pair:
        run_state_machine_as_test(
            type("BlobStoreMachineHere", (BlobStoreMachine,), {"pair": pair, "borders": borders}),
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
