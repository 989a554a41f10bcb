"""The demo closes, and stops closing when anything is tampered with: each time it says why."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from rich.console import Console

from broker.app import capabilities, now
from broker.core.intake import Directory, SignedDelivery, take_in
from broker.core.parcels import Packer
from broker.core.parity import Blob
from broker.demo import Demo, DemoOptions
from broker.demo.view import as_json, print_outcome
from broker.parity import blob_fault
from broker.store_settings import STORES
from connectors.whatsapp_cloud.parse import parse
from tests.e2e.installation import said
from tests.e2e.tampering import blob_changed, record_deleted, target_dropped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from broker.core.ports import UnkeptPart


pytestmark = pytest.mark.asyncio(loop_scope="module")

FIELDS = frozenset(
    {
        "accepted", "kept", "duplicates", "variants", "dead", "unprocessed", "lost", "gaps",
        "parts", "parts_kept", "parts_lost", "parts_open",
        "targets", "erased", "already_gone", "residue", "expired", "open",
        "provider_still_holds", "closed",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampering:
    """What an administrator does by hand, and what is then said of it."""

    done: Callable[[Demo], AbstractAsyncContextManager[None]]
    said: tuple[str, ...]


_FOR_NOBODY = b"""{"entry": [{"id": "1", "changes": [{"field": "messages", "value": {
    "metadata": {"phone_number_id": "2"}, "statuses": [{"id": "3", "status": "sent"}]}}]}]}"""
TAMPERINGS = {
    "a record deleted": Tampering(
        done=record_deleted,
        said=("accepted is", "got a 200 and is nowhere", "is held by the provider and is no residue"),
    ),
    "a byte of a blob changed": Tampering(
        done=blob_changed,
        said=(
            "1 times: has other bytes in the blob store than were kept",
            "1 times: has other bytes than the provider",
        ),
    ),
    "a target dropped": Tampering(done=target_dropped, said=("targets is",)),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=STORES)
async def demo(request: pytest.FixtureRequest) -> AsyncIterator[Demo]:
    """A demo played to its end on each profile of stores, in a folder that a server's own account may pass through."""
    with tempfile.TemporaryDirectory(prefix="custody-e2e-") as folder:
        Path(folder).chmod(0o711)
        async with Demo(options=DemoOptions(keep=Path(folder) / "demo", store=request.param)) as demo:
            await demo.play()
            yield demo


async def test_the_demo_closes_and_its_document_is_complete(demo: Demo) -> None:
    document = json.loads(as_json(await demo.outcome()))

    assert set(document) >= FIELDS
    assert document["closed"] is True
    assert document["problems"] == []
    assert document["accepted"] == sum(document[name] for name in ("kept", "duplicates", "variants", "dead"))
    assert document["parts"] == document["parts_kept"] + document["parts_lost"]
    assert document["targets"] == sum(document[name] for name in ("erased", "already_gone", "residue", "expired"))
    assert document["provider_still_holds"] == document["residue_texts"] + document["residue"]
    assert all(document[name] > 0 for name in ("kept", "duplicates", "variants", "gaps", "parts_kept", "erased"))


@pytest.mark.parametrize("command", ["report --strict --verify", "show RECORD", "dead list", "check --offline"])
async def test_the_commands_that_the_demo_shows_work(demo: Demo, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_SETTINGS", str(demo.home.settings_file))
    example = await demo.example()
    assert example is not None
    told = await asyncio.to_thread(said, *command.replace("RECORD", example).split())
    assert (told.code, told.err) == (0, "")


@pytest.mark.parametrize("tampering", TAMPERINGS.values(), ids=TAMPERINGS.keys())
async def test_tampering_opens_the_account_and_is_named(demo: Demo, tampering: Tampering) -> None:
    async with tampering.done(demo):
        outcome = await demo.outcome()

    assert outcome.closed is False
    assert len(outcome.problems) == len(tampering.said), outcome.problems
    for words in tampering.said:
        assert any(words in problem for problem in outcome.problems), outcome.problems
    assert (await demo.outcome()).closed is True, "not restored"


async def test_a_changed_blob_is_named_by_the_commands_that_hash_it_again(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUSTODY_SETTINGS", str(demo.home.settings_file))
    async with blob_changed(demo):
        told = await asyncio.to_thread(said, "report", "--verify", "--json")
        faults = [await blob_fault(demo.blobs, blob) for blob in await _blobs(demo)]
    assert (told.code, told.err) == (1, "")
    tenants = told.document["tenants"].values()
    (found,) = [one for tenant in tenants for one in tenant["verified"]["mismatches"]]
    assert (found["what"], found["missing"]) == ("blob", False)
    assert [one for one in faults if one is not None] == ["altered"]


async def _blobs(demo: Demo) -> list[Blob]:
    tenants = demo.registry.tenants
    parts = [part for tenant in tenants async for part in demo.store.kept_parts(tenant)]
    return [Blob(place=one.place, size=one.size, sha256=one.sha256) for one in parts]


async def test_a_lost_part_that_is_asked_for_again_is_kept_and_erased(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    await demo.provider._call("POST", "misbehave", {"damaged_download": 1.0})
    (account, *_) = demo.registry.accounts.values()
    photo = {"account": account.id, "type": "image", "media": {"size": 4_000}}
    await demo.provider._call("POST", "inbound", photo)
    lost = await _lost_for(demo, account.tenant, "digest_mismatch")
    await demo.settled()
    before = await demo.outcome()
    assert (before.account.residue, before.closed) == (1, True), before.problems

    await demo.provider._call("POST", "misbehave", {"reset": True})
    monkeypatch.setenv("CUSTODY_SETTINGS", str(demo.home.settings_file))
    arguments = ("part", "refetch", lost.record_id, str(lost.number), "--reason", "the line was noisy")
    told = await asyncio.to_thread(said, *arguments)
    assert told.code == 0, told.err
    async with asyncio.timeout(60):
        while (await demo.outcome()).account.residue:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.2)
    await demo.settled()
    after = await demo.outcome()
    assert after.closed, after.problems
    assert after.account.erased == before.account.erased + 1
    assert after.account.parts_lost == before.account.parts_lost - 1


async def _lost_for(demo: Demo, tenant: str, reason: str) -> UnkeptPart:
    async with asyncio.timeout(60):
        while True:
            async for part in demo.store.unkept_parts(tenant):
                if part.reason == reason:
                    return part
            await asyncio.sleep(0.2)


async def test_a_body_that_nobody_claims_is_told_apart_from_the_account(demo: Demo) -> None:
    before = await demo.outcome()
    (app, *_) = demo.registry.apps.values()
    delivery = SignedDelivery(app=app, id="dlv_test", received_at=now(), connector="tests/1")
    taken = take_in(
        parse(_FOR_NOBODY),
        delivery,
        directory=Directory(demo.registry),
        capabilities=capabilities(demo.settings)[app.provider],
        packer=Packer(entry_bytes=demo.log.entry_bytes, entropy=bytes),
    )
    assert taken.unclaimed == {"unknown_account": 1}
    await demo.log.append(taken.entries)

    outcome = await demo.outcome()
    document, printed = json.loads(as_json(outcome)), io.StringIO()
    print_outcome(Console(file=printed, width=200), outcome, settings=Path("settings.toml"), example=None)

    assert (before.unclaimed, document["unclaimed"], document["closed"]) == (0, 1, True)
    assert document["accepted"] == before.account.accepted
    assert "Bodies for accounts that nobody registered: 1," in printed.getvalue()
