"""What comes for an account that nobody registered is kept raw, and becomes records once someone does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.stage.home import TENANTS
from tests.stage.stage import StageOptions

if TYPE_CHECKING:
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage

_BODIES = """
SELECT count(*) FROM custody_log.entries JOIN custody_log.log_partitions USING (partition_id)
JOIN custody_log.topics USING (topic_id) WHERE stream = 'bodies'
"""


async def test_an_unknown_account_is_claimed_once_it_is_registered(open_stage: OpenStage, fault_seed: int) -> None:
    known, unknown = TENANTS if fault_seed % 2 else reversed(TENANTS)
    async with open_stage(StageOptions(seed=fault_seed, registered=(known,))) as stage:
        await stage.start()
        await stage.play()
        await stage.until("only what nobody registered is left", lambda: _only_unclaimed(stage))

        accounts = await stage.accounts()
        assert accounts[known].kept > 0
        assert accounts[unknown].accepted == 0
        (row,) = await stage.servers.fetch("log", _BODIES)
        assert row["count"] == await stage.unclaimed()

        stage.home.register(known, unknown)
        await stage.play()
        await stage.settled()

        assert (await stage.accounts())[unknown].kept > 0
        assert await stage.unclaimed() == 0


async def _only_unclaimed(stage: Stage) -> bool:
    return [one.partition(" ")[2] for one in await stage.pending()] == ["unclaimed"]
