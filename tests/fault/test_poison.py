"""One record that the store can't take is set aside alone, says so, and comes in once its cause is gone."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from connectors.simulator.ids import Customer, user_id_of
from connectors.simulator.payloads import contents
from tests.stage.home import PROVIDER, TENANTS
from tests.stage.stage import StageOptions

if TYPE_CHECKING:
    from connectors.simulator.draft import Draft
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage

_CHECK = "ALTER TABLE custody_pas.records ADD CONSTRAINT poison CHECK (record_id <> ALL (ARRAY[{ids}]))"
_TRIGGER = (
    (
        "CREATE FUNCTION custody_pas.poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'poison' USING ERRCODE = '22023'; END $$"
    ),
    (
        "CREATE TRIGGER poison BEFORE INSERT ON custody_pas.records FOR EACH ROW"
        " WHEN (NEW.record_id = ANY (ARRAY[{ids}])) EXECUTE FUNCTION custody_pas.poison()"
    ),
)
_CURES = (
    "ALTER TABLE custody_pas.records DROP CONSTRAINT IF EXISTS poison",
    "DROP FUNCTION IF EXISTS custody_pas.poison CASCADE",
)
_PHONE = "27000000077"
_WRITER = Customer(user_id=user_id_of(_PHONE), phone=_PHONE)


async def test_what_the_store_can_not_take_is_set_aside_alone(open_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    async with open_stage(StageOptions(seed=fault_seed)) as stage:
        drafts = _drafts(stage, chance)
        poison = chance.sample(drafts, 2)
        ids = ", ".join(f"'{_record_id(stage, draft)}'" for draft in poison)
        statements = (_CHECK,) if fault_seed % 2 else _TRIGGER
        await stage.servers.execute("records", *(one.replace("{ids}", ids) for one in statements))
        await stage.start()
        await asyncio.gather(stage.play(), _send(stage, drafts))
        await stage.until("the rest is kept", lambda: _rest_is_kept(stage))

        account = await stage.account()
        assert (account.dead, account.gaps_by_cause["dead"]) == (2, 2)
        dead = await stage.store.dead_letters(TENANTS[0])
        assert [one.code for one in dead] == ["unstorable", "unstorable"]
        gaps = [await stage.store.record(TENANTS[0], one.gap_record_id) for one in dead]
        stand_for = {relation.record_id for gap in gaps if gap for relation in gap.record.envelope.relations}
        assert stand_for == {_record_id(stage, draft) for draft in poison}

        await stage.servers.execute("records", *_CURES)
        code, said = await stage.command("dead", "redrive", "--all", "--reason", "the store takes it now")
        assert code == 0, said
        account = await stage.settled()

        assert account.dead == 0
        assert "dead" not in account.gaps_by_cause
        assert account.kept > 0


def _drafts(stage: Stage, chance: random.Random) -> list[Draft]:
    """Texts and photos, enough of them to fill a few batches of one conversation."""
    compose = stage.provider.composer(stage.home.account(TENANTS[0]))
    return [
        compose.message(
            _WRITER,
            contents.image(compose.media("image/jpeg")) if chance.random() < 0.5 else contents.text(f"text {number}"),
        )
        for number in range(60)
    ]


async def _send(stage: Stage, drafts: list[Draft]) -> None:
    for draft in drafts:
        await stage.provider.send(draft)


def _record_id(stage: Stage, draft: Draft) -> str:
    tenant = stage.registry.tenants[TENANTS[0]]
    return tenant.key.record_id(
        provider=PROVIDER, account=draft.account, kind="message", native_key=(draft.message_id,)
    )


async def _rest_is_kept(stage: Stage) -> bool:
    """By its own sums the account closes with two dead letters; the provider still holds what they stand for."""
    return not await stage.pending() and (await stage.account()).dead == 2
