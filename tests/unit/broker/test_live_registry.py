"""The live registry: every change is seen, and a bad one changes nothing."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from broker.core.errors import SettingsError
from broker.live_registry import LiveRegistry
from tests.unit.broker.registry_files import GOOD, write

if TYPE_CHECKING:
    from pathlib import Path

    from broker.core.registry import Registry


def test_it_starts_with_a_good_file_only(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tenants\.acme\.zone"):
        LiveRegistry(write(tmp_path, GOOD.replace("Africa/Johannesburg", "Nowhere")))


def test_an_edit_of_the_file_is_taken_over_and_told_of(tmp_path: Path) -> None:
    live = LiveRegistry(write(tmp_path))
    seen: list[Registry] = []
    live.on_change(seen.append)
    before = live()
    assert not live.refresh()
    assert live() is before
    write(tmp_path, GOOD.replace("erase_after_seconds = 60", "erase_after_seconds = 7200"))
    assert live.refresh()
    assert live().tenants["acme"].erase_after_seconds == 7200
    assert seen == [live()]


def test_a_renewed_token_is_taken_over(tmp_path: Path) -> None:
    live = LiveRegistry(write(tmp_path))
    (tmp_path / "secrets" / "claims.token").write_text("EAAGrenewed")
    assert live.refresh()
    assert live().accounts["claims"].token == "EAAGrenewed"


def test_a_secret_swapped_by_its_link_is_taken_over(tmp_path: Path) -> None:
    """As Kubernetes does it: the folder's link is put on another folder, with files of the same size and age."""
    path = write(tmp_path)
    for name, token in (("one", "EAAGtoken111"), ("two", "EAAGtoken222")):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "token"
        file.write_text(token)
        os.utime(file, ns=(1, 1))
    link = tmp_path / "mounted"
    link.symlink_to("one")
    path.write_text(GOOD.replace("secrets/claims.token", "mounted/token"))
    live = LiveRegistry(path)
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(link)
    assert live.refresh()
    assert live().accounts["claims"].token == "EAAGtoken222"


def test_a_bad_edit_keeps_the_last_good_value_until_it_is_mended(tmp_path: Path) -> None:
    live = LiveRegistry(write(tmp_path))
    before = live()
    write(tmp_path, GOOD[: len(GOOD) // 2])
    assert not live.refresh()
    assert live() is before
    assert (live.refused_count, len(live.problems) > 0) == (1, True)
    assert not live.refresh()
    assert live.refused_count == 1, "the same bad file is not read again and again"
    write(tmp_path, GOOD.replace("claims]", "service]"))
    assert live.refresh()
    assert (list(live().accounts), live.problems) == (["service"], ())


def test_a_secret_that_was_missing_is_noticed_when_it_comes(tmp_path: Path) -> None:
    live = LiveRegistry(write(tmp_path))
    token = tmp_path / "secrets" / "claims.token"
    token.unlink()
    assert not live.refresh()
    token.write_text("EAAGback")
    assert live.refresh()
    assert live().accounts["claims"].token == "EAAGback"


async def test_it_watches_by_itself(tmp_path: Path) -> None:
    live = LiveRegistry(write(tmp_path), poll_seconds=0.01)
    changed = asyncio.Event()
    live.on_change(lambda _: changed.set())
    async with live.watching():
        write(tmp_path, "[accounts]\nnot = good")
        async with asyncio.timeout(10):
            while not live.refused_count:  # noqa: ASYNC110 - a refusal calls nobody
                await asyncio.sleep(0.01)
        write(tmp_path, GOOD.replace("claims]", "service]"))
        await asyncio.wait_for(changed.wait(), 10)
    assert list(live().accounts) == ["service"]
