"""Canaries go to a MongoDB and an S3 server too: nothing but content's own places has them, and no log whatever."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from bson import json_util

from broker.demo import Demo, DemoOptions
from broker.servers import admin_address
from broker.store_options import s3_options
from tests.e2e.installation import said
from tests.mongo_servers import client_of, database_of
from tests.s3_servers import bare_client
from tests.stage.canaries import Canary, leaks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE, TEXT, CAPTION, FILE = "27009418273645", "Pieptext-Vm4Kp9Wd", "Untertitel-Jh6Tb3Qx", "Gutachten-Rz8Ls5Yc.pdf"
NAME = "Kanari Vogel-Xq7Zt2"
_CONTENT = frozenset({("records", "content"), ("targets", "object_id")})
"""Where content may stand: a collection's field."""


@dataclass(slots=True)
class Aftermath:
    """What is left behind, by where it was found."""

    canaries: list[Canary] = field(default_factory=list)
    logs: dict[str, bytes] = field(default_factory=dict)
    commands: dict[str, bytes] = field(default_factory=dict)
    fields: dict[tuple[str, str], bytes] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aftermath() -> AsyncIterator[Aftermath]:
    """Everything there is to search, after canaries were kept and erased."""
    with tempfile.TemporaryDirectory(prefix="custody-canary-") as folder:
        Path(folder).chmod(0o711)
        found = Aftermath()
        async with Demo(options=DemoOptions(keep=Path(folder) / "demo", store="s3_mongo")) as demo:
            await _speak(demo)
            await demo.settled()
            outcome = await demo.outcome()
            assert outcome.closed, outcome.problems
            await _command(demo, found)
            await _know(demo, found)
            await _read_mongo(demo, found)
            await _read_s3(demo, found)
            found.logs = {str(one.relative_to(demo.home.root)): one.read_bytes() for one in _logs(demo.home.root)}
        yield found


async def test_the_canaries_went_through(aftermath: Aftermath) -> None:
    kept = b"".join(held for place, held in aftermath.fields.items() if place in _CONTENT)
    assert [one.name for one in aftermath.canaries if not one.secret and one.found_in(kept) is None] == []
    assert all(aftermath.logs[name] for name in ("workers.log", "mongo/member-1.log", "s3/server.log"))
    assert len(aftermath.objects) >= 2


async def test_no_canary_in_any_log_of_custody_mongodb_or_s3(aftermath: Aftermath) -> None:
    assert leaks(aftermath.canaries, aftermath.logs) == []


async def test_no_canary_in_what_commands_say(aftermath: Aftermath) -> None:
    assert leaks(aftermath.canaries, aftermath.commands) == []


async def test_no_canary_in_any_field_but_those_of_content(aftermath: Aftermath) -> None:
    others = {".".join(place): held for place, held in aftermath.fields.items() if place not in _CONTENT}
    assert len(others) > 50
    assert leaks(aftermath.canaries, others) == []


async def test_no_secret_in_any_field(aftermath: Aftermath) -> None:
    secrets = [one for one in aftermath.canaries if one.secret]
    assert leaks(secrets, {".".join(place): held for place, held in aftermath.fields.items()}) == []


async def test_no_canary_in_an_objects_name_metadata_or_tags(aftermath: Aftermath) -> None:
    assert leaks(aftermath.canaries, aftermath.objects) == []


async def _speak(demo: Demo) -> None:
    (account, *_) = demo.registry.accounts.values()
    writer = {"user_id": "ZA.90817263544536271809", "phone": PHONE, "name": NAME}
    common = {"account": account.id, "customer": writer}
    for asked in (
        {"type": "text", "text": TEXT},
        {"type": "image", "media": {"size": 4_000, "caption": CAPTION}},
        {"type": "document", "media": {"size": 9_000, "filename": FILE}},
    ):
        await demo.provider._call("POST", "inbound", {**common, **asked})


async def _know(demo: Demo, found: Aftermath) -> None:
    words = {"phone": PHONE, "text": TEXT, "caption": CAPTION, "file name": FILE, "name": NAME}
    words |= {f"media {row['id']}": str(row["id"]) async for row in demo.provider.media()}
    (app, *_), (number, *_) = demo.home.simulator.apps, demo.home.simulator.numbers
    secrets = {
        "app secret": app.secret,
        "access token": number.access_token,
        "password of records": demo.home.secret("records"),
        "secret key of blobs": demo.home.secret("blobs"),
    }
    found.canaries = [Canary(name, word.encode()) for name, word in words.items()]
    found.canaries += [Canary(name, word.encode(), secret=True) for name, word in secrets.items()]


async def _command(demo: Demo, found: Aftermath) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUSTODY_SETTINGS", str(demo.home.settings_file))
        example = await demo.example()
        for command in ("report --verify", "check --offline --json", f"show {example}", "dead list", "lag --json"):
            told = await asyncio.to_thread(said, *command.split())
            assert told.code == 0, told.err
            found.commands[command] = (told.out + told.err).encode()


async def _read_mongo(demo: Demo, found: Aftermath) -> None:
    uri = admin_address(demo.settings, "records")
    async with client_of(uri) as client:
        database = client[database_of(uri)]
        for name in await database.list_collection_names():
            if name.startswith("system."):
                continue
            async for document in database[name].find():
                for key, value in document.items():
                    found.fields[name, key] = found.fields.get((name, key), b"") + b"\n" + _as_bytes(value)


async def _read_s3(demo: Demo, found: Aftermath) -> None:
    options = s3_options(demo.settings)
    async with bare_client(options) as client:
        listed = await client.list_objects_v2(Bucket=options.bucket)
        for one in listed["Contents"]:
            at = {"Bucket": options.bucket, "Key": one["Key"]}
            head, tags = await client.head_object(**at), await client.get_object_tagging(**at)
            told: dict[str, Any] = {"key": one["Key"], "metadata": head["Metadata"], "tags": tags["TagSet"]}
            found.objects[one["Key"]] = json.dumps(told).encode()


def _logs(root: Path) -> list[Path]:
    return sorted(one for one in root.rglob("*.log") if one.name != "simulator.log" and one.is_file())


def _as_bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else json_util.dumps(value).encode()
