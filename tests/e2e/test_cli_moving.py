"""`custody copy` and `custody parity` between two Postgres databases, by the settings' two stores and by a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from broker import app
from tests.e2e.installation import TENANT, Installation, lay_out, use
from tests.records import Desk
from tests.stores import execute, fetch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from broker.core.model import Record
    from tests.servers import SharedPostgres

_PHOTO = b"a photo"


@pytest_asyncio.fixture
async def other_dsn(postgres_server: SharedPostgres) -> AsyncIterator[str]:
    dsn = await postgres_server.create_database()
    yield dsn
    await postgres_server.drop_database(dsn)


@pytest_asyncio.fixture
async def here(tmp_path: Path, database: str, other_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Installation:
    installation = lay_out(tmp_path, database)
    use(installation, monkeypatch)
    settings = installation.settings
    monkeypatch.setenv("CUSTODY_OTHER__STORE", "postgres")
    for server in ("records", "blobs"):
        login = settings.address(server).rpartition("@")[0]
        own = f"{login}@{other_dsn.rpartition('@')[2]}"
        monkeypatch.setenv(f"CUSTODY_OTHER__{server.upper()}__DSN", own)
        monkeypatch.setenv(f"CUSTODY_OTHER__{server.upper()}__ADMIN_DSN", other_dsn)
    said = await installation.custody("init", "--logins")
    assert said.code == 0, said.err
    return installation


async def _kept(here: Installation) -> Record:
    desk = Desk(7)
    text, photo = desk.text('"Good morning"'), desk.image()
    blobs = await app.open_blobs(here.settings)
    await blobs.put(f"{TENANT}/{photo.envelope.record_id}/1", _once(_PHOTO), max_bytes=100)
    await blobs.close()
    await here.append(text, photo, desk.kept(photo, data=_PHOTO))
    await here.archive()
    return photo


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_copied_the_same_tampered_with_found(here: Installation, other_dsn: str, tmp_path: Path) -> None:
    photo = (await _kept(here)).envelope.record_id
    before = await here.custody("parity", "main", "other", "--json")
    assert before.code == 4, before.err
    assert before.document["same"] is False
    copied = await here.custody("copy", "main", "other", "--why", "a test", "--json")
    assert copied.code == 0, copied.err
    assert copied.document["complete"] is True
    assert copied.document["blobs"] == {"copied": 1}
    same = await here.custody("parity", "main", "other", "--json", "--resume", str(tmp_path / "parity.json"))
    assert (same.code, same.document["same"]) == (0, True), same.err
    assert not (tmp_path / "parity.json").exists()
    for dsn in (here.admin_dsn, other_dsn):
        (act,) = await fetch(dsn, "SELECT type FROM custody_pas.records WHERE kind = 'act'")
        assert act["type"] == "copy"
    await execute(other_dsn, "UPDATE custody_blobs.blobs SET data = 'a ph0to'")
    found = await here.custody("parity", str(here.folder / "settings.toml"), "other")
    assert found.code == 4
    assert f"blob {photo} 1 of " in found.out
    assert "altered right" in found.out


async def test_what_can_not_be_copied_over_is_named(here: Installation, other_dsn: str) -> None:
    photo = (await _kept(here)).envelope.record_id
    assert (await here.custody("copy", "main", "other", "--why", "a test")).code == 0
    await execute(other_dsn, "UPDATE custody_pas.records SET type = 'x' WHERE record_id = $1", photo)
    said = await here.custody("copy", "main", "other", "--why", "a test")
    assert said.code == 4
    assert f"refused: records {photo}: type" in said.out


async def test_a_reason_and_two_stores_are_needed(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await here.custody("copy", "main", "other")).code == 2
    assert (await here.custody("parity", "main", "main")).code == 2
    assert (await here.custody("parity", "main", "other", "--since", "yesterday")).code == 2
    for name in ("STORE", "RECORDS__DSN", "BLOBS__DSN", "RECORDS__ADMIN_DSN", "BLOBS__ADMIN_DSN"):
        monkeypatch.delenv(f"CUSTODY_OTHER__{name}")
    said = await here.custody("parity", "main", "other")
    assert (said.code, "CUSTODY_OTHER__STORE" in said.err) == (2, True)


async def test_a_file_of_another_run_is_not_gone_on_with(here: Installation, tmp_path: Path) -> None:
    state = tmp_path / "parity.json"
    for text in ("no state", '{"asked": ["main", "other"], "found": {}}'):
        state.write_text(text)
        said = await here.custody("parity", "main", "other", "--resume", str(state))
        assert (said.code, "--resume" in said.err) == (2, True)
        assert state.read_text() == text
