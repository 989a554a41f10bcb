from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from connectors.simulator import ConfigError, Misbehaviour, Play, Simulator, sample
from connectors.simulator.compose import Composer
from connectors.simulator.ids import Ids
from connectors.simulator.ledger import Ledger
from connectors.simulator.misbehaviour import Draws
from connectors.simulator.scenario import script
from connectors.simulator.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from connectors.simulator.draft import Draft


def drafts(
    folder: Path, play: Play, *, seed: int = 7, companies: int = 2, misbehaviour: Misbehaviour | None = None
) -> Iterator[Draft]:
    folder.mkdir(exist_ok=True)
    config = replace(sample(seed=seed, companies=companies), misbehaviour=misbehaviour or Misbehaviour())
    world = World(config, clock=lambda: 1_790_000_000.0)
    ledger = Ledger(folder / "truth.sqlite")
    draws, ids = Draws(seed=seed, misbehaviour=config.misbehaviour), Ids(seed=seed)
    composers = {
        account: Composer(account, world=world, ledger=ledger, draws=draws, ids=ids) for account in world.numbers
    }
    told = script(play, accounts=tuple(composers), composer=composers.__getitem__, seed=seed)
    try:
        for _, draft in told:
            yield draft
    finally:
        ledger.close()


def inbound(told: list[Draft]) -> list[Draft]:
    return [draft for draft in told if draft.inbound and not draft.entries[0].variant]


def test_one_telling_has_everything_the_demo_shows(tmp_path: Path) -> None:
    told = list(drafts(tmp_path, Play()))

    assert 25 <= len(inbound(told)) <= 40
    types = {(draft.entries[0].kind, draft.entries[0].type) for draft in told}
    assert {
        *(("message", kind) for kind in ("text", "image", "audio", "document", "video", "sticker", "location")),
        *(("message", kind) for kind in ("contacts", "interactive", "button", "unsupported")),
        *(("status", kind) for kind in ("sent", "delivered", "read", "played", "failed")),
        ("reaction", "reaction"),
        ("edit", "edit"),
        ("revocation", "revoke"),
        ("system", "system"),
        ("gap", "131035"),
    } <= types
    assert {draft.entries[0].direction for draft in told} == {"in", "out", "echo"}


def test_it_has_customers_of_every_identity_a_group_and_both_numbers(tmp_path: Path) -> None:
    told = list(drafts(tmp_path, Play()))
    contacts = [contact for draft in inbound(told) for contact in draft.contacts]

    assert {("wa_id" in contact, "username" in contact["profile"]) for contact in contacts} == {  # type: ignore[operator]
        (True, False),
        (False, True),
        (True, True),
    }
    assert any("group_id" in draft.item for draft in told)
    assert len({draft.account for draft in told}) == 2


def test_it_has_duplicates_a_variant_and_one_reaction_taken_back(tmp_path: Path) -> None:
    told = list(drafts(tmp_path, Play()))

    assert sum(draft.redeliveries for draft in told) == 3
    variants = [draft for draft in told if draft.entries[0].variant]
    (original,) = [d for d in inbound(told) if d.message_id == variants[0].message_id]
    assert variants[0].item != original.item
    emojis = [draft.item["reaction"].get("emoji") for draft in told if "reaction" in draft.item]  # type: ignore[attr-defined]
    assert "" in emojis


@pytest.mark.parametrize("messages", [1, 10, 31, 100])
def test_it_tells_exactly_as_many_inbound_messages_as_asked(tmp_path: Path, messages: int) -> None:
    assert len(inbound(list(drafts(tmp_path, Play(messages=messages))))) == messages


def test_longer_runs_keep_the_proportions(tmp_path: Path) -> None:
    once = Counter(draft.entries[0].type for draft in drafts(tmp_path / "a", Play()))
    often = Counter(draft.entries[0].type for draft in drafts(tmp_path / "b", Play(messages=310)))

    assert {kind: count * 10 for kind, count in once.items()} == dict(often)


def test_a_seed_tells_the_same_story(tmp_path: Path) -> None:
    def told(folder: str, seed: int) -> list[Draft]:
        return list(islice(drafts(tmp_path / folder, Play(messages=60), seed=seed), 100))

    assert told("a", 7) == told("b", 7)
    assert told("c", 7) != told("d", 8)


async def test_a_story_with_a_time_of_its_own_is_the_same_whenever_it_is_told() -> None:
    at, week = 1_768_458_600, 7 * 86_400
    told = []
    for now in (1_790_000_000.0, 1_795_000_000.0):
        async with Simulator(sample(seed=7)) as provider:
            provider.world.clock = lambda now=now: now  # type: ignore[misc]
            await provider.play(Play(at=at))
            rows = list(provider.truth())
            told.append([(row["key"], row["timestamp"]) for row in rows])
            assert all(at - week <= int(str(row["timestamp"])) < at + len(rows) + 10 for row in rows)
            served = [float(str(row["until"])) for row in provider.held() if row["object"] == "media"]
            assert served, "the provider still goes by its own time"
            assert all(now < until <= now + week for until in served)
    assert told[0] == told[1]


def test_a_single_number_hears_the_whole_story(tmp_path: Path) -> None:
    told = list(drafts(tmp_path, Play(), companies=1))

    assert len({draft.account for draft in told}) == 1


def test_statuses_come_first_where_that_strikes(tmp_path: Path) -> None:
    told = list(drafts(tmp_path, Play(), misbehaviour=Misbehaviour(statuses_before_messages=1.0)))

    seen: set[str] = set()
    for draft in told:
        if draft.entries[0].direction == "echo":
            assert draft.message_id in seen
        seen.add(draft.message_id)


@pytest.mark.parametrize("play", [{"scenario": "opera"}, {"messages": -1}])
def test_a_play_that_cannot_be_is_refused(play: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Play(**play)  # type: ignore[arg-type]
