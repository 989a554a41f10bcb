"""From a body to its changes: which builder makes the items of which array."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from broker.core.item import Change
from connectors.whatsapp_cloud.parsing import drafts
from connectors.whatsapp_cloud.parsing.cuts import Cut, body_of, cuts, origin_of
from connectors.whatsapp_cloud.parsing.errors import value_error
from connectors.whatsapp_cloud.parsing.events import call, element_event, whole_event
from connectors.whatsapp_cloud.parsing.fields import EVENT_TYPES
from connectors.whatsapp_cloud.parsing.finish import finished
from connectors.whatsapp_cloud.parsing.groups import group
from connectors.whatsapp_cloud.parsing.guard import Builder, each
from connectors.whatsapp_cloud.parsing.history import chunk
from connectors.whatsapp_cloud.parsing.messages import echo, message
from connectors.whatsapp_cloud.parsing.scene import ITEM_ARRAYS, Member, Origin, Scene, scene
from connectors.whatsapp_cloud.parsing.slices import elements, is_json, members
from connectors.whatsapp_cloud.parsing.statuses import status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.core.item import Item

_BUILDERS: Final[dict[str, Builder]] = {
    "messages": message,
    "message_echoes": echo,
    "statuses": status,
    "errors": value_error,
    "calls": call,
    "groups": group,
    "history": chunk,
}


def changes(body: bytes) -> tuple[Change, ...]:
    """The changes of a body; one gap where it is no body of WhatsApp's. May raise where there is a fault in here."""
    top = members(body.strip(b" \t\n\r"))
    found = [] if top is None else list(cuts(top))
    if top is None or not found:
        return (lost(body, drafts.bare_gap("unknown_shape" if is_json(body) else "not_json", body)),)
    return tuple(_change(cut, body if len(found) == 1 else body_of(cut)) for cut in found)


def lost(body: bytes, item: Item) -> Change:
    """A body that is one gap."""
    return Change(account=None, account_group=None, items=(item,), body=body)


def _change(cut: Cut, body: bytes) -> Change:
    pairs = (members(cut.raw) or []) if cut.entry is not None else []
    origin = origin_of(cut, pairs)
    account = None
    try:
        made = [_scene_and_drafts(raw, origin) for name, raw in pairs if name == "value"]
        if not made:
            made = [(scene(origin, ()), [drafts.unknown_shape(cut.raw)])]
        account = next((place.account for place, _ in made if place.account is not None), None)
        items = tuple(item for place, found in made for item in finished(found, place))
    except Exception:  # noqa: BLE001 - whatever the fault, what was signed and delivered is kept
        items = (drafts.rescued_item(cut.raw),)
    return Change(account=account, account_group=origin.waba, items=items, body=body)


def _scene_and_drafts(raw: bytes, origin: Origin) -> tuple[Scene, list[drafts.Draft]]:
    pairs = members(raw)
    if pairs is None:
        return scene(origin, ()), [drafts.unknown_shape(raw)]
    spread = _spread(pairs)
    place = scene(origin, spread)
    return place, _drafts(spread, place) or each(whole_event, [raw], place)


def _spread(pairs: Sequence[Member]) -> list[Member]:
    """The members of a value, with those of `standby` among them as if they stood beside it."""
    found: list[Member] = []
    for name, raw in pairs:
        inner = members(raw) if name == "standby" and raw[:1] == b"{" else None
        found += [(name, raw)] if inner is None else inner
    return found


def _drafts(pairs: Sequence[Member], place: Scene) -> list[drafts.Draft]:
    """The drafts of every element of every array that is not mere context."""
    found: list[drafts.Draft] = []
    for name, raw in pairs:
        rows = elements(raw) if raw[:1] == b"[" else None
        if name == "contacts" and rows is not None:
            continue
        if rows is not None:
            found += each(_builder(name, place), rows, place)
        elif name in ITEM_ARRAYS and raw != b"null":
            found.append(drafts.unknown_shape(raw))
    return found


def _builder(name: str, place: Scene) -> Builder:
    if name == "errors" and place.origin.field in EVENT_TYPES:
        return partial(element_event, name)  # a flow's errors, say: figures, with nothing missing behind them
    return _BUILDERS.get(name) or partial(element_event, name)
