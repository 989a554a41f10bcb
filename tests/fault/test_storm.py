"""A provider that does everything wrong it is documented to do: the account closes, and only what it lost is lost."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from connectors.simulator import Misbehaviour
from tests.stage.stage import StageOptions

if TYPE_CHECKING:
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage

_OFTEN = (
    "duplicates",
    "out_of_order",
    "statuses_before_messages",
    "lost",
    "unsupported",
    "variant",
    "lone_surrogate",
    "nul",
    "undeliverable",
    "media_gone",
    "wrong_digest",
    "lost_answers",
)
_BRIEFLY = {"workers": {"first_wait_seconds": 0.01, "most_wait_seconds": 0.01}}
"""So that a part of many failures has had its tries before the test's patience ends."""
_AT_EACH_CALL = ("expired_media_urls", "unauthorized", "throttled", "slow")
_MOST_OFTEN = ("damaged_download", "server_errors")
"""Together these show whether a few damaged downloads are told from a few failures of any kind."""
_LOST = """
SELECT convert_from(target.object_id, 'UTF8') AS media, part.reason
FROM custody_pas.part_states AS part JOIN custody_pas.targets AS target USING (tenant, target_id)
WHERE part.state = 'lost'
"""
_DAMAGED = 5
"""So many downloads of one object, all with other bytes than announced, make it lost."""


async def test_a_storm_at_the_provider_loses_only_what_the_provider_lost(
    open_stage: OpenStage, fault_seed: int
) -> None:
    chance = random.Random(fault_seed)
    wild = Misbehaviour(
        **{name: chance.uniform(0.05, 0.2) for name in _OFTEN},
        **{name: chance.uniform(0.02, 0.12) for name in _AT_EACH_CALL},
        **{name: chance.uniform(0.15, 0.25) for name in _MOST_OFTEN},
        slow_seconds=0.3,
    )
    async with open_stage(StageOptions(seed=fault_seed, misbehaviour=wild, overrides=_BRIEFLY)) as stage:
        await stage.start()
        await stage.play(90)
        account = await stage.settled(unblocking=True)

        assert account.dead == 0
        assert account.variants > 0
        assert account.duplicates > 0
        assert await _unjustified(stage) == []


async def _unjustified(stage: Stage) -> list[tuple[str, str]]:
    """Parts given up for which the provider gave no cause."""
    media = {str(one["id"]): one for one in stage.provider.media()}
    damaged = Counter(str(one["media"]) for one in stage.provider.downloads() if one["damaged"])
    causes = {
        "gone": {name for name, one in media.items() if one["gone"]},
        "digest_mismatch": {name for name, one in media.items() if one["digest_wrong"] or damaged[name] >= _DAMAGED},
    }
    lost = [(row["media"], row["reason"]) for row in await stage.servers.fetch("records", _LOST)]
    return [(name, reason) for name, reason in lost if name not in causes.get(reason, ())]
