"""`custody copy` and `custody parity` between two Postgres databases, by the settings' two stores and by a file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from broker import app
from tests.e2e.installation import TENANT, Installation, lay_out, use
from tests.records import Desk
from tests.servers import as_role
from tests.stores import execute, fetch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from broker.core.model import Record
    from tests.servers import SharedPostgres

_PHOTO = b"a photo"
STORES = ("records", "blobs")


@pytest_asyncio.fixture
async def other_dsn(postgres_server: SharedPostgres) -> AsyncIterator[str]:
    dsn = await postgres_server.create_database()
    yield dsn
    await postgres_server.drop_database(dsn)


class Moving:
    """An installation with two stores, each a Postgres database, which may change places."""

    def __init__(self, folder: Path, dsns: tuple[str, str]) -> None:
        self.here = lay_out(folder, dsns[0])
        self.dsns = dsns
        document = tomllib.loads((folder / "settings.toml").read_text())
        self.log = document["log"]["dsn"]
        logins = [document[name]["dsn"].removeprefix("postgresql://").partition("@")[0].split(":") for name in STORES]
        self.stores = [{name: as_role(dsn, *login) for name, login in zip(STORES, logins, strict=True)} for dsn in dsns]

    def say(self, *, other: bool = True, write: bool = False, swapped: bool = False) -> None:
        """Writes the settings."""
        first, second = reversed(self.stores) if swapped else self.stores
        lines = ['profile = "demo"', 'registry = "custody.toml"', "partitions = 2"]
        lines += ["[log]", f'dsn = "{self.log}"', f'admin_dsn = "{self.dsns[0]}"', "allow_unsafe_server = true"]
        lines += self._sections(first, "")
        if other:
            lines += [
                "[other]",
                'store = "postgres"',
                f"write = {str(write).lower()}",
                *self._sections(second, "other."),
            ]
        (self.here.folder / "settings.toml").write_text("\n".join(lines))

    def _sections(self, store: dict[str, str], prefix: str) -> Iterator[str]:
        admin = self.dsns[self.stores.index(store)]
        for name, dsn in store.items():
            yield f'[{prefix}{name}]\ndsn = "{dsn}"\nadmin_dsn = "{admin}"\nallow_unsafe_server = true'


@pytest_asyncio.fixture
async def moving(tmp_path: Path, database: str, other_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Moving:
    moving = Moving(tmp_path, (database, other_dsn))
    use(moving.here, monkeypatch)
    moving.say()
    said = await moving.here.custody("init", "--logins")
    assert said.code == 0, said.err
    return moving


@pytest.fixture
def here(moving: Moving) -> Installation:
    return moving.here


async def _kept(here: Installation, seed: int = 7) -> Record:
    desk = Desk(seed)
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


async def test_a_reason_and_two_stores_are_needed(moving: Moving) -> None:
    here = moving.here
    assert (await here.custody("copy", "main", "other")).code == 2
    assert (await here.custody("parity", "main", "main")).code == 2
    assert (await here.custody("parity", "main", "other", "--since", "yesterday")).code == 2
    moving.say(other=False)
    said = await here.custody("parity", "main", "other")
    assert (said.code, "CUSTODY_OTHER__STORE" in said.err) == (2, True)


async def _is_same(here: Installation) -> None:
    same = await here.custody("parity", "main", "other", "--json")
    assert (same.code, same.document["same"]) == (0, True), (same.err, same.out)


async def test_over_to_the_other_store_and_back(moving: Moving) -> None:
    here = moving.here
    await _kept(here)
    assert (await here.custody("copy", "main", "other", "--why", "moving")).code == 0
    await _kept(here, 8)  # while nobody writes to the other one yet
    moving.say(write=True)
    refused = await here.custody("copy", "main", "other", "--why", "moving")
    assert (refused.code, "CUSTODY_OTHER__WRITE" in refused.err) == (2, True), refused.err
    here.begin_again()
    await _kept(here, 9)
    blobs = await here.custody("copy", "main", "other", "--blobs-only", "--why", "moving", "--json")
    assert (blobs.code, blobs.document["blobs"]) == (0, {"there": 3}), blobs.err  # the log brought them along
    await _is_same(here)
    moving.say(write=True, swapped=True)
    await _kept(here, 10)
    await _is_same(here)
    for store in (moving.stores[1], moving.stores[0]):
        moving.say(other=False, swapped=store is moving.stores[1])
        report = await here.custody("report", "--verify", "--json")
        assert (report.code, report.document["problems"]) == (0, [f"{TENANT}: open is 4, not 0"])  # nobody erases here
        assert report.document["kept"] == 2 * 4
        moving.say(write=True)
    await _kept(here, 11)
    await _is_same(here)


async def test_a_file_of_another_run_is_not_gone_on_with(here: Installation, tmp_path: Path) -> None:
    state = tmp_path / "parity.json"
    for text in ("no state", '{"asked": ["main", "other"], "found": {}}'):
        state.write_text(text)
        said = await here.custody("parity", "main", "other", "--resume", str(state))
        assert (said.code, "--resume" in said.err) == (2, True)
        assert state.read_text() == text
