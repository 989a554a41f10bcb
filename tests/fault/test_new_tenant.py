"""A tenant that comes while the workers run: they notice by themselves, and keep what it sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.simulator.ids import Customer, user_id_of
from connectors.simulator.payloads import contents
from tests.stage.home import TENANTS
from tests.stage.stage import ALONE, StageOptions

if TYPE_CHECKING:
    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage

_FIRST, _LATER = TENANTS
_PHONE = "27000000088"


async def test_a_tenant_registered_while_workers_run_is_kept_without_a_restart(
    open_log_stage: OpenStage, fault_seed: int
) -> None:
    options = StageOptions(seed=fault_seed, processes=ALONE, registered=(_FIRST,), known=(_FIRST,))
    async with open_log_stage(options) as stage:
        await stage.start()
        await _write_to(stage, _FIRST)
        await stage.settled()
        assert not [topic for topic in await stage.log.topics() if f".{_LATER}." in topic]

        stage.home.register(*TENANTS)
        code, said = await stage.command("tenant", "apply", "--tenant", _LATER)
        assert code == 0, said
        await stage.play()
        await _write_to(stage, _LATER)
        await stage.settled()

        accounts = await stage.accounts()
        assert accounts[_LATER].kept > 0
        assert accounts[_LATER].parts_kept > 0
        assert accounts[_LATER].dead == accounts[_FIRST].dead == 0
        assert {name: actor.starts for name, actor in stage.actors.items()} == dict.fromkeys(ALONE, 1)


async def _write_to(stage: Stage, tenant: str) -> None:
    compose = stage.provider.composer(stage.home.account(tenant))
    writer = Customer(user_id=user_id_of(_PHONE), phone=_PHONE)
    for content in (contents.text("a text"), contents.image(compose.media("image/jpeg"))):
        await stage.provider.send(compose.message(writer, content))
