"""Drafts to items: parties, thread and context; and the identities that they show."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from broker.core.item import Item, ItemParty
from broker.core.model import Identity
from connectors.whatsapp_cloud.parsing.drafts import Person
from connectors.whatsapp_cloud.parsing.identities import Shown
from connectors.whatsapp_cloud.parsing.people import enriched, thread_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.whatsapp_cloud.parsing.drafts import Draft
    from connectors.whatsapp_cloud.parsing.scene import Scene


def finished(drafts: Sequence[Draft], scene: Scene) -> tuple[Item, ...]:
    """The items of a change, its identities last."""
    claimed = [_claim(draft, scene) for draft in drafts]
    nobodys = set(range(len(scene.contacts))).difference(*claimed) if scene.contacts else None
    shown = Shown(scene.origin_context)
    items: list[Item] = []
    for draft, contacts in zip(drafts, claimed, strict=True):
        parties = [_parties(who) for who in draft.people]
        # A contact that is nobody's here still came with this change: the first item has it.
        theirs = sorted(nobodys.union(contacts)) if nobodys and not items else contacts
        items.append(_item(draft, scene, scene.context(draft, theirs, is_first=not items), parties))
        for who, as_parties in zip(draft.people, parties, strict=True):
            shown.add(who, as_parties, draft)
    for place in nobodys or ():
        who = Person("participant", scene.contacts[place].identities)
        shown.add(who, _parties(who), drafts[0])
    return (*items, *shown.items())


def _claim(draft: Draft, scene: Scene) -> list[int]:
    """Adds to a draft's people what the contacts know of them, and says which contacts those are."""
    if not scene.contacts:
        return []
    found = [enriched(who, scene.contacts, scene.contact_index) for who in draft.people]
    draft.people = tuple([who for who, _ in found])
    return sorted({place for _, places in found for place in places})


def _item(draft: Draft, scene: Scene, context: bytes, parties: Sequence[tuple[ItemParty, ...]]) -> Item:
    return Item(
        kind=draft.kind,
        type=draft.type,
        direction=draft.direction,
        native_key=draft.native_key,
        thread=("group", draft.group) if draft.group else thread_of(draft.people[0] if draft.people else None),
        raw=draft.raw,
        counted=draft.counted,
        context=context,
        parties=(*itertools.chain.from_iterable(parties), *scene.owner),
        relations=draft.relations,
        occurred_at=draft.occurred_at,
        parts=draft.parts,
        provider_ids=draft.provider_ids,
    )


def _parties(who: Person) -> tuple[ItemParty, ...]:
    return tuple(
        [ItemParty(role=who.role, identity=Identity(kind=kind, value=value)) for kind, value in who.identities]
    )
