"""After a move to another log, nothing is read until an operator lets it take the old one's place; then all goes on."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from broker import app
from broker.core.topics import ARCHIVED_STREAMS, topic_name
from broker.demo.home import to_toml
from tests.servers import as_role
from tests.stage.home import TENANTS
from tests.stage.servers import cluster
from tests.stage.stage import APART, StageOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from tests.fault.conftest import OpenStage
    from tests.stage.stage import Stage

_WHY = ("--why", "moved to another server", "--by", "Kim")


async def test_another_log_is_not_read_until_it_takes_the_old_ones_place(
    open_log_stage: OpenStage, fault_seed: int
) -> None:
    leaves_some = fault_seed % 2 == 0
    async with (
        open_log_stage(StageOptions(seed=fault_seed, processes=APART)) as stage,
        _elsewhere(stage) as elsewhere,
    ):
        await stage.start()
        await stage.play()
        before = await stage.settled()
        if leaves_some:
            await stage.dismiss("archive")
            await stage.play(20)
            await stage.until("the provider is done", lambda: _delivered(stage))
        await stage.dismiss()
        left = (await stage.account()).unprocessed
        assert (left > 0) == leaves_some
        before_move = stage.log.identity
        old = await _move(stage, elsewhere)

        await stage.start()
        await stage.play()
        await stage.until("every partition is stopped", lambda: _all_stopped(stage))
        await _names_both(stage, before_move)
        assert (await _kept(stage)) == before.kept + before.variants
        await _adopt(stage, str(old), left)
        if leaves_some:
            await stage.until("all else is kept", lambda: _only_lost(stage))
            account = await stage.account()
            assert account.lost == left
            assert account.gaps_by_cause["lost"] > 0
        else:
            account = await stage.settled()
            assert account.lost == 0
        assert account.accepted == account.kept + account.duplicates + account.variants + account.lost
        assert account.accepted > before.accepted, "the old log's entries are in the account"
        assert account.kept > before.kept
        assert stage.actors["archive"].starts == 1
        code, said = await stage.command("log", "adopt", "--mirrored", *_WHY)
        assert (code, b"no tenant was kept from another log" in said) == (0, True), said


@asynccontextmanager
async def _elsewhere(stage: Stage) -> AsyncGenerator[Mapping[str, Any]]:
    """The settings of another log, empty: on a cluster of its own, or in a database."""
    if stage.options.log == "kafka":
        async with cluster() as other:
            yield {"bootstrap": list(other.bootstrap)}
        return
    name = f"{stage.servers.database('log')}_new"
    admin = await stage.servers.by_role["log"].create_database(name, template="template0")
    yield {"dsn": as_role(admin, stage.servers.login("log"), stage.servers.password), "admin_dsn": admin}


async def _move(stage: Stage, elsewhere: Mapping[str, Any]) -> object:
    """Another log, empty, in place of the old one; returns the settings file that has the old one."""
    old = stage.home.root / "old.toml"
    old.write_bytes(stage.home.settings_file.read_bytes())
    old.chmod(0o600)
    settings = dict(stage.home.settings())
    settings["log"] = {**settings["log"], **elsewhere}
    stage.home.settings_file.write_text(to_toml(settings), encoding="utf-8")
    stage.settings = app.settings_of(stage.home.settings_file)
    passwords = dict.fromkeys(stage.servers.by_role, stage.servers.password)
    await app.prepare(stage.settings, registry=stage.registry, passwords=passwords)
    stage.log = await app.entered(stage._exits, app.open_log(stage.settings))
    return old


async def _adopt(stage: Stage, old: str, left: int) -> None:
    """What would leave something behind is refused; what is right is done."""
    for wrong in ((), ("--mirrored", "--gone"), ("--mirrored", "--lose"), ("--old", str(stage.home.settings_file))):
        code, said = await stage.command("log", "adopt", *wrong, *_WHY)
        assert code == 2, said
    if left:
        code, said = await stage.command("log", "adopt", "--old", old, *_WHY)
        assert code == 2, said
        assert b"are unread by" in said
        assert b"--lose" in said
    assert await _all_stopped(stage)
    more = ("--lose",) if left else ()
    code, said = await stage.command("log", "adopt", "--old", old, *more, *_WHY)
    assert code == 0, said
    acts = [
        kept.record.envelope.type
        for tenant in TENANTS
        async for kept in stage.store.records(tenant)
        if kept.record.envelope.kind == "act"
    ]
    assert acts.count("adopt_log") == len(TENANTS)


async def _names_both(stage: Stage, old: str) -> None:
    code, said = await stage.command("log", "show", "--json")
    assert code == 0, said
    assert json.loads(said) == {"log": stage.log.identity, "others": {tenant: [old] for tenant in TENANTS}}


async def _delivered(stage: Stage) -> bool:
    return stage.provider.pending == 0


async def _all_stopped(stage: Stage) -> bool:
    topics = [topic_name(tenant, stream) for tenant in TENANTS for stream in ARCHIVED_STREAMS]
    expected = {f"{place.topic}/{place.partition}": "log_changed" for place in await stage.log.bounds(topics)}
    _, health = await stage.actors["archive"].health("workers")
    return isinstance(health, dict) and health.get("archive", {}).get("stopped") == expected


async def _kept(stage: Stage) -> int:
    rows = await stage.servers.fetch(
        "records",
        "SELECT count(*) FROM custody_pas.records WHERE NOT worker_made AND stream IN ('messages', 'statuses')",
    )
    return int(rows[0]["count"])


async def _only_lost(stage: Stage) -> bool:
    if stage.provider.pending:
        return False
    problems = [problem for account in (await stage.accounts()).values() for problem in account.problems()]
    return all(one.startswith("lost is ") for one in problems)
