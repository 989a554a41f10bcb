"""One whole document of each collection, for the tests of what MongoDB takes and of who may do what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_TENANT, _AT, _DIGEST = "acme", 1_795_681_614_000_001, bytes(32)
_PLACE = {"log": "log-1", "topic": "custody.acme.messages.v1", "partition": 0}

DOCUMENTS: Mapping[str, Mapping[str, Any]] = {
    name: {"tenant": _TENANT, "_id": f"{_TENANT}/{key}", **fields}
    for name, key, fields in (
        (
            "records",
            "rec_1",
            {
                "record_id": "rec_1",
                "row_number": 1 << 40,
                "account": "acc",
                "provider": "p",
                "kind": "message",
                "type": "text",
                "conversation": "cnv_1",
                "stream": "messages",
                "worker_made": False,
                "variant_of": None,
                **_PLACE,
                "log_offset": 0,
                "keep_seq": 1,
                "kept_at": _AT,
                "received_at": _AT,
                "part_count": 0,
                "target_ids": ["tgt_1"],
                "fingerprint": _DIGEST,
                "envelope": b"{}",
                "arrival": b"{}",
                "record_digest": _DIGEST,
                "arrival_digest": _DIGEST,
                "encoding": "json",
                "key_id": None,
                "content": b"{}",
            },
        ),
        (
            "parts",
            "rec_1/000001",
            {
                "record_id": "rec_1",
                "number": 1,
                "media_kind": "image",
                "mime": "image/png",
                "origin_id": "rec_1",
                "fingerprint": b"f",
                "target_id": "tgt_1",
                "kept_at": _AT,
            },
        ),
        (
            "part_results",
            f"rec_1/000001/{1:016d}",
            {
                "origin_id": "rec_1",
                "number": 1,
                "result_number": 1,
                "fingerprint": b"f",
                "target_id": "tgt_1",
                "state": "kept",
                "reason": None,
                "witnessed": False,
                "shared": False,
                "size": 7,
                "sha256": _DIGEST,
                "place": "acme/rec_1/1",
                "version": None,
                "kept_at": _AT,
            },
        ),
        (
            "targets",
            "tgt_1",
            {
                "target_id": "tgt_1",
                "account": "acc",
                "provider": "p",
                "conversation": "cnv_1",
                "object_kind": "media",
                "object_id": b"1",
                "not_before": _AT,
                "erase_after_seconds": 0.5,
                "expires_at": _AT,
                "state": "waiting",
                "reason": None,
                "due_at": None,
                "attempt": 0,
                "changed_at": _AT,
            },
        ),
        (
            "receipts",
            f"tgt_1/{1:016d}",
            {
                "target_id": "tgt_1",
                "receipt_number": 1,
                "attempt": 1,
                "outcome": "erased",
                "evidence": "204",
                "witnessed": False,
                "at": _AT,
            },
        ),
        ("gaps", "rec_1", {"record_id": "rec_1", "cause": "x", "state": "open", "account": "acc", "received_at": _AT}),
        ("unseen", "rec_1", {"record_id": "rec_1", "account": "acc", "received_at": _AT}),
        (
            "dead_letters",
            f"log-1/custody.acme.messages.v1/000000/{7:020d}",
            {
                **_PLACE,
                "log_offset": 7,
                "gap_record_id": "rec_1",
                "account": "acc",
                "received_at": _AT,
                "code": "permanent",
                "attempts": 1,
                "at": _AT,
                "state": "open",
            },
        ),
        (
            "tallies",
            f"log-1/custody.acme.messages.v1/000000/acc/{_AT}",
            {**_PLACE, "account": "acc", "bucket": _AT, "entries": 1, "duplicates": 0},
        ),
        (
            "progress",
            "log-1/custody.acme.messages.v1/000000",
            {
                **_PLACE,
                "start_offset": 0,
                "next_offset": 1,
                "duplicates": 0,
                "redriven": 0,
                "lost": 0,
                "keep_seq": 1,
                "last_event_id": "e",
                "successor": None,
            },
        ),
    )
}


def of_tenant(name: str, tenant: str) -> dict[str, Any]:
    """The document of a collection, another tenant's."""
    document = DOCUMENTS[name]
    return {**document, "tenant": tenant, "_id": f"{tenant}/{document['_id'].partition('/')[2]}"}
