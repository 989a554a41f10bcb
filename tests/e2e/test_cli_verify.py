"""`custody report --verify` against real stores of each kind: whatever an administrator changes by hand is named."""

from __future__ import annotations

import hashlib
import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from broker import app
from broker.servers import admin_address
from broker.store_options import s3_options
from tests.e2e.hands import Hand, OnPostgres, OnS3Mongo
from tests.e2e.installation import TENANT, Installation, lay_out, on_s3_mongo, use
from tests.records import Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from broker.core.model import Record

_WRONG = "only-for-tests-4b7e"
_FAULTS = {
    ("postgres", "nobody answers"): (r"^(dsn = .*@)[^/]*(/.*)$", r"\g<1>127.0.0.1:9\2"),
    ("postgres", "a refused login"): (r"^(dsn = .*):[^:]*@(.*)$", rf"\1:{_WRONG}@\2"),
    ("s3", "nobody answers"): (r"^endpoint = .*$", 'endpoint = "http://127.0.0.1:9"'),
    ("s3", "a refused login"): (r"^secret_key = .*$", f'secret_key = "{_WRONG}"'),
}
"""What somebody makes of which line."""
_SMALL, _LARGE = b"a photo", bytes(2_500_000)


@pytest.fixture(params=["postgres", "s3_mongo"])
def stores(request: pytest.FixtureRequest) -> Mapping[str, str] | None:
    if request.param == "postgres":
        return None
    return on_s3_mongo(request.getfixturevalue("mongo_database"), request.getfixturevalue("s3_server"))


@pytest_asyncio.fixture
async def here(
    tmp_path: Path, database: str, stores: Mapping[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> Installation:
    installation = lay_out(tmp_path, database, stores=stores)
    use(installation, monkeypatch)
    assert (await installation.custody("init", "--logins")).code == 0
    return installation


@pytest.fixture
def hand(here: Installation) -> Hand:
    if here.settings.kind("records") == "postgres":
        return OnPostgres(here.admin_dsn)
    return OnS3Mongo(admin_address(here.settings, "records"), s3_options(here.settings))


@pytest_asyncio.fixture
async def kept(here: Installation) -> list[Record]:
    """A text, an image with a small blob and one with a blob of several chunks; all of it kept."""
    desk = Desk(7)
    text, small, large = desk.text('"Good morning"'), desk.image(), desk.image()
    blobs = await app.open_blobs(here.settings)
    for record, data in ((small, _SMALL), (large, _LARGE)):
        await blobs.put(f"{TENANT}/{record.envelope.record_id}/1", _once(data), max_bytes=10_000_000)
    await blobs.close()
    await here.append(text, small, large, desk.kept(small, data=_SMALL), desk.kept(large, data=_LARGE))
    await here.archive()
    return [text, small, large]


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _mismatches(here: Installation, code: int, *, records: int = 5) -> list[dict[str, Any]]:
    said = await here.custody("report", "--verify", "--json")
    assert said.code == code, said.err
    verified = said.document["tenants"][TENANT]["verified"]
    assert verified["records"] == records
    mismatches: list[dict[str, Any]] = verified["mismatches"]
    return mismatches


async def test_what_was_kept_is_found_as_it_was(here: Installation, kept: list[Record]) -> None:
    assert await _mismatches(here, 0) == []
    said = await here.custody("report", "--verify")
    assert said.code == 0
    assert "Hashed again" in said.out
    assert not any(record.envelope.record_id in said.out for record in kept)
    assert said.err == ""


@pytest.mark.parametrize("column", ["envelope", "arrival", "content"])
async def test_a_changed_record_is_named(here: Installation, hand: Hand, kept: list[Record], column: str) -> None:
    record_id = kept[0].envelope.record_id
    await hand.alter(record_id, column, lambda data: data[:11] + b"X" + data[12:])
    assert {"record_id": record_id, "what": column, "part": None, "missing": False} in await _mismatches(here, 1)
    said = await here.custody("report", "--verify")
    assert f"record {record_id}: its {column} is not what was kept" in said.out


async def test_a_record_that_can_not_be_read_is_named_by_its_id_wherever_it_is_met(
    here: Installation, hand: Hand, kept: list[Record]
) -> None:
    record_id = kept[0].envelope.record_id
    await hand.alter(record_id, "envelope", lambda _: b"Good morning")
    for command in (("report",), ("show", record_id)):
        said = await here.custody(*command)
        assert (said.code, said.out) == (1, ""), said
        assert said.err.count(record_id) == said.err.count("custody report --verify") == 1
        assert "Good morning" not in said.err
    assert [one["record_id"] for one in await _mismatches(here, 1)] == [record_id] * 2


@pytest.mark.parametrize("column", ["record_digest", "arrival_digest"])
async def test_a_changed_digest_is_named(here: Installation, hand: Hand, kept: list[Record], column: str) -> None:
    record_id = kept[1].envelope.record_id
    await hand.alter(record_id, column, lambda _: hashlib.sha256(b"other").digest())
    assert [one["record_id"] for one in await _mismatches(here, 1)] == [record_id]


@pytest.mark.parametrize("number", [1, 2])
async def test_a_changed_byte_of_a_blob_is_named(
    here: Installation, hand: Hand, kept: list[Record], number: int
) -> None:
    await hand.alter_blob(f"{TENANT}/{kept[number].envelope.record_id}/1")
    found = {"record_id": kept[number].envelope.record_id, "what": "blob", "part": 1, "missing": False}
    assert await _mismatches(here, 1) == [found]


async def test_a_missing_blob_is_named(here: Installation, hand: Hand, kept: list[Record]) -> None:
    record_id = kept[1].envelope.record_id
    await hand.lose_blob(f"{TENANT}/{record_id}/1")
    assert await _mismatches(here, 1) == [{"record_id": record_id, "what": "blob", "part": 1, "missing": True}]
    said = await here.custody("report", "--verify", "--day", "2026-11-23")
    assert (said.code, f"record {record_id}, part 1: its blob is missing" in said.out) == (1, True)


async def test_a_removed_record_opens_the_account(here: Installation, hand: Hand, kept: list[Record]) -> None:
    assert not any("accepted" in problem for problem in (await here.custody("report", "--json")).document["problems"])
    await hand.lose_record(kept[0].envelope.record_id)
    assert await _mismatches(here, 0, records=4) == [], "of what is left nothing was altered"
    said = await here.custody("report", "--strict", "--json")
    assert (said.code, said.document["accepted"], said.document["kept"]) == (1, 3, 2)
    assert f"{TENANT}: accepted is 3, what became of them adds up to 2" in said.document["problems"]


@pytest.mark.parametrize("fault", ["nobody answers", "a refused login"])
async def test_a_store_of_blobs_that_does_nothing_is_exit_code_3_and_no_finding(
    here: Installation, kept: list[Record], fault: str
) -> None:
    _spoil_blobs(here, fault)
    said = await here.custody("report", "--verify", "--json")
    assert (said.code, said.out, len(said.err.splitlines())) == (3, "", 1), said
    assert "Error" in said.err
    assert not any(word in said.err for word in (_WRONG, *(record.envelope.record_id for record in kept)))
    without = await here.custody("report")
    assert (without.code, without.err) == (0, "")


def _spoil_blobs(here: Installation, fault: str) -> None:
    """Another address of the blobs, or another secret."""
    file = here.folder / "settings.toml"
    head, section, blobs = file.read_text().partition("[blobs]")
    line, becomes = _FAULTS[here.settings.kind("blobs"), fault]
    spoilt, count = re.subn(line, becomes, blobs, flags=re.MULTILINE)
    assert count == 1
    file.write_text(head + section + spoilt)


async def test_hashing_may_be_left_half_way(here: Installation, kept: list[Record]) -> None:
    async with here.servers() as (_, store):
        for _ in range(20):
            async with aclosing(store.sealed(TENANT)) as rows:  # type: ignore[type-var]
                async for row in rows:
                    assert row.tenant == TENANT
                    break
        assert len([one async for one in store.sealed(TENANT)]) == len(kept) + 2
