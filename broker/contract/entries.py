"""A sample entry of each stream, made by the code that makes the real ones: for the tests of subscribers, and of ours.

People, numbers and ids are nobody's. The key is no secret and the salts are not random, so that the samples stay
as they are.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import connectors.whatsapp_cloud
from broker.core import codec, identity
from broker.core.intake import Reason, SignedDelivery, take_raw
from broker.core.model import (
    Delivery,
    EraseCommand,
    ErasureOutcome,
    Kind,
    PartOutcome,
    PartState,
    ReceiptOutcome,
    Record,
)
from broker.core.parcels import Packer
from broker.core.ports import Answer, ClaimedTarget, DeadLetter, LogEntry, NewEntry
from broker.core.registry import App
from broker.core.seal import Sealer, entry_of
from broker.core.topics import Stream, split_topic
from broker.workers.archive import dead_entry, kept_entry
from broker.workers.media.scan import task_entry, tasks_of
from broker.workers.records import part_record, placed, receipt_record
from broker.workers.relay import command_entry
from connectors.whatsapp_cloud.parse import CONNECTOR_VERSION, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

_WEBHOOKS = Path(connectors.whatsapp_cloud.__file__).with_name("samples")
_NOW = datetime(2026, 7, 28, 9, 0, tzinfo=UTC)
_KEY = identity.TenantKey(bytes(range(identity.KEY_BYTES)))
_SALT = bytes(identity.SALT_BYTES)
_PHOTO = b"the bytes of a photo"
_PACKER = Packer(entry_bytes=1_000_000, entropy=bytes)
_SEALER = Sealer(
    tenant="example-life",
    key=_KEY,
    provider="whatsapp_cloud",
    account="305500000000021",
    media_life=timedelta(days=7),
    entropy=bytes,
)


def samples() -> Mapping[Stream, NewEntry]:
    """The way of one photo, and of what goes with it."""
    message = _record("messages", "image", Kind.MESSAGE)
    entry = entry_of(message)
    (task,) = tasks_of(message)
    command = _command(message, task.media.object_id)
    entries = (
        entry,
        entry_of(_record("statuses", "delivered", Kind.STATUS)),
        task_entry(task),
        entry_of(part_record(task, _kept_part(message), key=_KEY, now=_NOW)),
        _kept(message, entry),
        command_entry(ClaimedTarget(command=command, conversation=message.envelope.conversation)),
        entry_of(receipt_record(command, _erased(command), key=_KEY), key=f"{command.provider}/{command.account}"),
        dead_entry(_lying(entry), DeadLetter(code="unstorable", attempts=3, at=_NOW), "example-life"),
        *take_raw(_webhook("messages", "text"), _stranger(), packer=_PACKER, reason=Reason.UNREADABLE).entries,
    )
    return {split_topic(one.topic)[1]: one for one in entries}


def shown(entry: NewEntry) -> dict[str, Any]:
    """An entry to look at: the value, and what lies in its content, as JSON."""
    value = json.loads(entry.value)
    content = {"content": json.loads(codec.decode_record(entry.value).content.data)} if "content" in value else {}
    return {
        "topic": entry.topic,
        "key": entry.key.decode(),
        "headers": {name: text.decode() for name, text in entry.headers},
        "value": value,
        **content,
    }


def _webhook(file: str, name: str) -> bytes:
    found = json.loads((_WEBHOOKS / f"{file}.json").read_text(encoding="utf-8"))["webhooks"][name]
    return json.dumps(found, separators=(",", ":")).encode()


def _record(file: str, name: str, kind: Kind) -> Record:
    """The first record of a kind that a webhook gives."""
    items = [one for change in parse(_webhook(file, name)) for one in change.items]
    index, item = next((index, item) for index, item in enumerate(items) if item.kind == kind)
    delivery = Delivery(id="dlv_sample", index=index, connector=CONNECTOR_VERSION)
    return _SEALER.seal(item, received_at=_NOW, delivery=delivery, origin="live")


def _kept_part(message: Record) -> PartOutcome:
    envelope = message.envelope
    return PartOutcome(
        record_id=envelope.record_id,
        fingerprint=message.fingerprint or b"",
        number=1,
        target_id=envelope.objects[0].target_id,
        state=PartState.KEPT,
        salt=_SALT,
        size=len(_PHOTO),
        sha256=hashlib.sha256(_PHOTO).digest(),
        place=f"{envelope.tenant}/{envelope.record_id}/1",
        version="1",
    )


def _lying(entry: NewEntry) -> LogEntry:
    """An entry as if it had been read."""
    return LogEntry(
        topic=entry.topic,
        partition=0,
        offset=0,
        key=entry.key,
        headers=entry.headers,
        value=entry.value,
        appended_at=_NOW,
    )


def _kept(message: Record, entry: NewEntry) -> NewEntry:
    answer = Answer(
        outcome="stored",
        record_id=message.envelope.record_id,
        record_digest=identity.record_digest(codec.canonical(message.envelope)).hex(),
        keep_seq=1,
        kept_at=_NOW,
    )
    notice = kept_entry(placed(message, _lying(entry), "log-of-the-samples"), answer)
    if notice is None:
        raise ValueError(answer)
    return notice


def _command(message: Record, object_id: str) -> EraseCommand:
    envelope, found = message.envelope, message.envelope.objects[0]
    return EraseCommand(
        tenant=envelope.tenant,
        account=envelope.account,
        provider=envelope.provider,
        target_id=found.target_id,
        object_kind=found.kind,
        object_id=object_id,
        attempt=1,
        commanded_at=_NOW,
        part_record_ids=(envelope.record_id,),
    )


def _erased(command: EraseCommand) -> ReceiptOutcome:
    return ReceiptOutcome(
        target_id=command.target_id,
        attempt=command.attempt,
        outcome=ErasureOutcome.ERASED,
        evidence="200",
        at=_NOW,
        salt=_SALT,
    )


def _stranger() -> SignedDelivery:
    app = App(name="acme", provider="whatsapp_cloud", tenant="example-life", app_id="1", secrets=(), verify_token="")
    return SignedDelivery(app=app, id="dlv_sample", received_at=_NOW, connector=CONNECTOR_VERSION)
