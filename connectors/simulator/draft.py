"""What is about to happen at the provider, before misbehaviour, encoding and delivery."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

Kind = Literal["message", "status", "reaction", "edit", "revocation", "system", "event", "gap"]
Direction = Literal["in", "out", "echo"]

_KINDS: dict[str, Kind] = {"reaction": "reaction", "edit": "edit", "revoke": "revocation", "system": "system"}


def kind_of(message_type: str) -> Kind:
    """What sort of thing a message of this type is."""
    return _KINDS.get(message_type, "message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the ground truth says of one thing: its kind, the provider's own key for it, and the media it names.

    `key` is empty where the provider gives no id. `held`: the provider stores it for its retention time.
    `note`: for a gap, the id of the message that never came.
    """

    kind: Kind
    type: str
    direction: Direction
    key: tuple[str, ...]
    timestamp: int
    media: str | None = None
    held: bool = True
    variant: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One item of a webhook. `array` names the list of the value it goes into; None: `item` is the whole value.

    Most drafts are one entry; a chunk of history is many. `inbound` counts it among the messages customers sent.
    `redeliveries`: how often it is delivered again after its first 200. `hold_back`: later items pass it.
    """

    account: str
    field: str
    array: str | None
    item: dict[str, object]
    entries: tuple[Entry, ...]
    contacts: tuple[dict[str, object], ...] = ()
    inbound: bool = False
    redeliveries: int = 0
    hold_back: bool = False

    @property
    def message_id(self) -> str:
        """The provider's id of it, or an empty string."""
        return self.entries[0].key[0] if self.entries[0].key else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a draft: its parcels, its entries in the ground truth, the misbehaviour that struck it.

    `subscribed`: whether any app is subscribed to its field; if not, nothing was sent.
    """

    parcels: tuple[int, ...]
    entries: tuple[int, ...]
    message_id: str
    media: tuple[str, ...] = ()
    subscribed: bool = True
    struck: tuple[str, ...] = field(default=())


def varied(draft: Draft) -> Draft | None:
    """The same ids with other content, or None where there is no text to change."""
    for holder, name in (("text", "body"), ("image", "caption"), ("video", "caption"), ("document", "caption")):
        said = draft.item.get(holder)
        if isinstance(said, dict) and isinstance(said.get(name), str):
            changed = {holder: said | {name: f"{said[name]} (corrected)"}}
            entries = tuple(replace(entry, variant=True) for entry in draft.entries)
            return replace(draft, item=draft.item | changed, entries=entries, redeliveries=0)
    return None


def with_text(draft: Draft, added: str) -> Draft | None:
    """The same with `added` inside its text, or None where it has none."""
    said = draft.item.get("text")
    if not isinstance(said, dict):
        return None
    return replace(draft, item=draft.item | {"text": said | {"body": f"{said['body']} {added}!"}})
