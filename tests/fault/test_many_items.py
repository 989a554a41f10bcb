"""A signed body of very many tiny items is answered 200, and each of them becomes a record, whatever dies meanwhile."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from tests.fault.test_outages import post_signed
from tests.stage.home import TENANTS
from tests.stage.kills import Kill
from tests.stage.stage import StageOptions

if TYPE_CHECKING:
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage

_ITEMS = 6_000
_LIMIT = 65_536
"""So that the body itself lies apart from the log."""
_KEPT = "SELECT count(*) AS kept FROM custody_pas.records WHERE kind = 'message' AND tenant = '{tenant}'"


async def test_each_of_very_many_items_becomes_a_record(open_stage: OpenStage, fault_seed: int) -> None:
    chance = random.Random(fault_seed)
    tenant = TENANTS[0]
    overrides = {"log": {"entry_bytes": _LIMIT}, "workers": {"batch_entries": 1_000, "claim_poll_seconds": 0.5}}
    kills = [
        Kill(step="log.append", moment="before", count=chance.randint(2, 5)),
        Kill(step="log.append", moment="after", count=chance.randint(2, 5)),
        Kill(step="subscription.commit", moment="before"),
    ]
    async with open_stage(StageOptions(seed=fault_seed, overrides=overrides)) as stage:
        await stage.employ("edge", ("edge",))
        await stage.employ("archive", ("archive",))
        claim = await stage.employ("claim", ("claim",), kills=kills)
        await stage.until("the edge is there", lambda: _is_ready(stage))
        before = await _kept(stage, tenant)
        status, _ = await post_signed(stage, _body(stage.home.account(tenant)), tenant=tenant)
        assert status == 200
        await stage.until("all is claimed and kept", lambda: _is_done(stage))

        assert await _kept(stage, tenant) - before == _ITEMS
        assert claim.struck == kills
        assert (await stage.account()).dead == 0


def _body(account: str) -> bytes:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": account},
        "messages": [{"x": 1}] * _ITEMS,
    }
    change = {"field": "messages", "value": value}
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "waba", "changes": [change]}]}).encode()


async def _kept(stage: Stage, tenant: str) -> int:
    (row,) = await stage.servers.fetch("records", _KEPT.format(tenant=tenant))
    return int(row["kept"])


async def _is_ready(stage: Stage) -> bool:
    return (await stage.actors["edge"].health("ready"))[0] == 200


async def _is_done(stage: Stage) -> bool:
    return not await stage.pending()
