"""`custody gap`: what is known to be missing, and accepting that the log lost entries."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from broker import app
from broker.acts import Action, Doing
from broker.commands import context, output
from broker.commands.context import UsageError
from broker.core.ports import Loss
from broker.core.topics import TopicPartition, split_topic
from broker.findings import line
from broker.losses import find_loss
from broker.workers.records import loss_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.ports import OpenGap, RecordStore
    from broker.core.registry import Tenant

_EXAMPLE = "custody.acme.messages.v1/0"

commands = typer.Typer(no_args_is_help=True, help="Gaps: what is known to be missing, unreadable or set aside.")

Place = Annotated[str, typer.Argument(metavar="PARTITION", help="A partition as 'lag' names it: topic/partition.")]
First = Annotated[
    int, typer.Option("--from", metavar="OFFSET", min=0, help="The first offset lost: where the store is.")
]
End = Annotated[int, typer.Option("--to", metavar="OFFSET", min=1, help="The first offset that is still in the log.")]


@commands.command("list")
def list_gaps(
    tenant: context.TenantName = None,
    as_json: context.Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """List open gaps by cause, oldest first, each with the record that says so.

    Of the cause outbound_unseen, the record is the message that a status spoke of and nobody kept.

    Example: custody gap list --tenant acme
    """
    found = context.run(_listed(tenant))
    if as_json:
        output.document([output.plain(one) for one in found])
        return
    rows = [(one.cause, one.tenant, one.record_id, one.at, one.stream, one.account) for one in found]
    output.table("Gaps", ("cause", "tenant", "record", "at", "stream", "account"), rows)


@commands.command("accept")
def accept(
    place: Place,
    first: First,
    end: End,
    reason: context.Reason = "",
    by: context.By = None,
    as_json: context.Json = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Accept that the log lost entries before they were kept, so that the partition goes on behind them. Leaves an act.

    Try to restore the log first: what is accepted is lost for good. The range is exactly what is missing, as 'custody
    lag' shows it. One gap record names it, the account counts it as lost, and a running archive worker goes on by
    itself.

    Example: custody gap accept custody.acme.messages.v1/0 --from 4711 --to 4720 --why "no replica has them"
    """
    where = place_of(place)
    who, why = context.doer(by), context.required_reason(reason, for_what="accepting a loss")
    gap_record_id = context.run(_accepted(where, first, end, who, why))
    if as_json:
        output.document({"partition": place, "from": first, "to": end, "lost": end - first, "record": gap_record_id})
        return
    output.line(f"accepted: {end - first} lost of {place}, told by {gap_record_id}")


def place_of(name: str) -> TopicPartition:
    """The partition that a name means. `UsageError`."""
    topic, _, partition = name.rpartition("/")
    try:
        split_topic(topic)
        return TopicPartition(topic, int(partition))
    except ValueError:
        raise UsageError(line("PARTITION", "is not topic/partition", _EXAMPLE)) from None


async def _listed(tenant: str | None) -> Sequence[OpenGap]:
    settings = context.load("records", "registry")
    tenants = context.tenants(app.registry(settings), tenant)
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        store = await app.entered(exits, app.open_records(settings))
        return [gap for one in tenants for gap in [found async for found in store.gaps(one.name)]]


async def _accepted(place: TopicPartition, first: int, end: int, who: str, why: str) -> str:
    settings = context.load("log", "records", "registry")
    tenant = context.tenant(app.registry(settings), split_topic(place.topic)[0])
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings)
        log = await app.entered(exits, app.open_log(settings))
        store = await app.entered(exits, app.open_records(settings))
        loss = Loss(log=log.identity, place=place, first=first, end=end)
        refuse_another(loss, await find_loss(log, store, place))
        return await accept_loss(store, loss, tenant=tenant, who=who, why=why)


def refuse_another(wanted: Loss, found: Loss | None) -> None:
    """`UsageError` unless what is to be accepted is what is lost, no more and no less."""
    if wanted == found:
        return
    name = f"{wanted.place.topic}/{wanted.place.partition}"
    if found is None:
        raise UsageError(
            f"{name}: the log has everything that the store has not kept of it; there is no loss to accept"
        )
    raise UsageError(
        line("--from, --to", f"of {name} something else is lost", f"--from {found.first} --to {found.end}")
    )


async def accept_loss(store: RecordStore, loss: Loss, *, tenant: Tenant, who: str, why: str) -> str:
    """Keeps the act, then the loss; the gap record's id."""
    gap = loss_record(loss, key=tenant.key, now=app.now(), entropy=secrets.token_bytes)
    act = Doing(
        action=Action.ACCEPT_LOSS,
        who=who,
        why=why,
        about=(gap.envelope.record_id,),
        arguments={
            "log": loss.log,
            "partition": f"{loss.place.topic}/{loss.place.partition}",
            "from": str(loss.first),
            "to": str(loss.end),
        },
    )
    await context.keep_act(store, act, tenant)
    await store.accept_loss(loss, gap)
    return gap.envelope.record_id
