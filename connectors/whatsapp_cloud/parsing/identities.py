"""`identity` items: several identities that a webhook shows of one person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.core.item import Item, ItemParty, ItemRelation
from broker.core.model import Direction, Kind
from connectors.whatsapp_cloud.parsing.people import thread_of
from connectors.whatsapp_cloud.parsing.values import canonical

if TYPE_CHECKING:
    from connectors.whatsapp_cloud.parsing.drafts import Draft, Named, Person


class Shown:
    """The identities shown in one change, each set of them once."""

    def __init__(self, context: bytes) -> None:
        self._context = context
        self._items: dict[tuple[Named, ...], Item] = {}

    def add(self, who: Person, parties: tuple[ItemParty, ...], source: Draft) -> None:
        """Notes what an item shows of a person: nothing, where that is one identity."""
        if len(who.identities) > 1:
            named = tuple(sorted(who.identities))
            if named not in self._items:
                self._items[named] = self._item(who, named, parties, source)

    def items(self) -> tuple[Item, ...]:
        """An item for each."""
        return tuple(self._items.values())

    def _item(self, who: Person, named: tuple[Named, ...], parties: tuple[ItemParty, ...], source: Draft) -> Item:
        """The bytes are made here: what shows the identities is another item, which is named and not copied."""
        made = canonical([{"kind": kind, "value": value} for kind, value in named])
        return Item(
            kind=Kind.IDENTITY,
            type=who.link,
            direction=Direction.INTERNAL,
            native_key=tuple([word for name in named for word in name]),
            thread=thread_of(who),
            raw=made,
            counted=made,
            context=self._context,
            parties=parties,
            relations=_shown_by(source),
            occurred_at=source.occurred_at,
        )


def _shown_by(source: Draft) -> tuple[ItemRelation, ...]:
    if not source.native_key:
        return ()
    return (ItemRelation(kind="shown_by", target_kind=source.kind, native_key=source.native_key),)
