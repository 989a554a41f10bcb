"""`custody show`: a record or a conversation; its content only for a reason, which is kept."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from broker import app
from broker.acts import Action, Doing
from broker.commands import context, output
from broker.commands.context import NotFoundError, UsageError
from broker.core.codec import canonical
from broker.findings import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.model import Content
    from broker.core.ports import KeptRecord, RecordStore
    from broker.core.registry import Registry, Tenant

Subject = Annotated[
    str,
    typer.Argument(metavar="RECORD|CONVERSATION", help="An id: rec_.., var_.. or cnv_..; logs have them."),
]
ContentWanted = Annotated[
    bool, typer.Option("--content", metavar=" ", help="The content too. Needs --reason, and leaves an act.")
]
After = Annotated[int, typer.Option("--after", min=0, help="Of a conversation: begin after this many.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Of a conversation: so many at most.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be shown, and whether its content is."""

    subject: str
    tenant: str | None
    after: int = 0
    limit: int = 500
    doing: tuple[str, str] | None = None
    """Who reads the content, and why."""


def show(  # noqa: PLR0913, PLR0917 - a command's options
    subject: Subject,
    tenant: context.TenantName = None,
    content: ContentWanted = False,  # noqa: FBT002 - a flag of the command line
    reason: context.Reason = "",
    by: context.By = None,
    after: After = 0,
    limit: Limit = 500,
    as_json: context.Json = False,  # noqa: FBT002 - likewise
) -> None:
    """Show a record, or the records of a conversation: envelope and arrival. Content is personal data.

    Example: custody show rec_kq3nf2xw5d7yzr4tjm6pbhcvea2gsuol

    Example: custody show cnv_mz5k.. --content --reason "complaint 4711" --by "T. Mokoena"
    """
    if not subject.startswith(("rec_", "var_", "cnv_")):
        raise UsageError(line("RECORD|CONVERSATION", "is not an id of Custody's", "rec_.., var_.. or cnv_.."))
    doing = None
    if content:
        doing = context.doer(by), context.required_reason(reason, for_what="reading content")
    wanted = Wanted(subject=subject, tenant=tenant, after=after, limit=limit, doing=doing)
    found = context.run(_find(wanted))
    shown = [_as_document(one, with_content=content) for one in found]
    if as_json:
        output.document({"conversation": subject, "records": shown} if _is_conversation(subject) else shown[0])
    elif _is_conversation(subject) and not content:
        _print_conversation(found)
    else:
        for one in shown:
            output.document(one)


def _is_conversation(subject: str) -> bool:
    return subject.startswith("cnv_")


async def _find(wanted: Wanted) -> Sequence[KeptRecord]:
    settings = context.load("records", "registry")
    registry = app.registry(settings)
    async with AsyncExitStack() as exits:
        await context.with_servers(exits, settings, log=False)
        store = await app.entered(exits, app.open_records(settings))
        tenant, found = await _look(store, registry, wanted)
        if wanted.doing is not None:
            who, why = wanted.doing
            doing = Doing(
                action=Action.READ_CONTENT,
                who=who,
                why=why,
                about=tuple(one.record_id for one in found),
                arguments={"subject": wanted.subject},
            )
            await context.keep_act(store, doing, tenant)
        return found


async def _look(store: RecordStore, registry: Registry, wanted: Wanted) -> tuple[Tenant, Sequence[KeptRecord]]:
    for tenant in context.tenants(registry, wanted.tenant):
        found: Sequence[KeptRecord] = ()
        if _is_conversation(wanted.subject):
            found = await store.conversation(tenant.name, wanted.subject, after=wanted.after, limit=wanted.limit)
        elif (one := await store.record(tenant.name, wanted.subject)) is not None:
            found = [one]
        if found:
            return tenant, found
    where = f"tenant {wanted.tenant}" if wanted.tenant else "any tenant registered"
    raise NotFoundError(f"{wanted.subject}: not kept for {where}; it may not be processed yet: custody report")


def _as_document(kept: KeptRecord, *, with_content: bool) -> dict[str, Any]:
    record = kept.record
    document = {
        "record_id": kept.record_id,
        "variant_of": kept.variant_of,
        "keep_seq": kept.keep_seq,
        "kept_at": kept.kept_at,
        "record_digest": kept.record_digest,
        "arrival_digest": kept.arrival_digest,
        "envelope": msgspec.Raw(canonical(record.envelope)),
        "arrival": msgspec.Raw(canonical(record.arrival)),
    }
    return document | {"content": content_document(record.content)} if with_content else document


def content_document(content: Content) -> dict[str, Any]:
    """Content as JSON where it is JSON that every reader takes, else its bytes in base64."""
    document: dict[str, Any] = {"encoding": content.encoding}
    if content.key_id is not msgspec.UNSET:
        return document | {"key_id": content.key_id, "data_base64": content.data}
    return document | readable(content.data)


def readable(data: bytes) -> dict[str, Any]:
    """`data` as JSON, or `data_base64`."""
    try:
        data.decode()
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"data_base64": data}
    return {"data": msgspec.Raw(data)}


def _print_conversation(found: Sequence[KeptRecord]) -> None:
    rows = [
        (
            one.record.arrival.received_at,
            one.record.envelope.direction,
            one.record.envelope.kind,
            one.record.envelope.type,
            one.record_id,
            len(one.record.envelope.parts) or "",
        )
        for one in found
    ]
    output.table("", ("received", "direction", "kind", "type", "record", "parts"), rows)
