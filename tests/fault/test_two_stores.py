"""The same traffic kept on Postgres and on S3 with MongoDB: one root digest; whatever differs is found and named.

10,000 messages with their media; 100,000 with `make fault`.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from broker.core.parity import KINDS
from broker.store_options import s3_options
from tests.mongo_servers import client_of, database_of
from tests.s3_servers import bare_client
from tests.stage import Layout, StageOptions
from tests.stage.home import TENANTS
from tests.stage.stores import on_s3_mongo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    import pytest

    from backends.s3.options import S3Options
    from tests.fault.conftest import OpenStage
    from tests.mongo_servers import SharedMongo
    from tests.s3_servers import SharedS3
    from tests.stage import Stage

_SEED = 11
_MESSAGES, _MANY_MESSAGES = 10_000, 100_000
_FEW_SEEDS = 2
_QUICK = {"workers": {"batch_entries": 500, "media_concurrency": 16, "erase_concurrency": 16}}


async def test_the_same_traffic_has_the_same_digests_on_postgres_and_on_s3_with_mongodb(
    open_stage: OpenStage, mongo_server: SharedMongo, s3_server: SharedS3, pytestconfig: pytest.Config
) -> None:
    is_long = pytestconfig.getoption("--fault-seeds") > _FEW_SEEDS
    messages = _MANY_MESSAGES if is_long else _MESSAGES
    async with on_s3_mongo(mongo_server, s3_server) as other:
        layout = Layout(other=other, writes_both=True)
        async with open_stage(StageOptions(seed=_SEED, layout=layout, overrides=_QUICK)) as stage:
            await stage.start()
            await stage.play(messages)
            account = await stage.settled(within_seconds=messages / 5)
            assert account.kept > messages

            same = await parity(stage)
            assert same["same"], differences(same)
            for tenant in TENANTS:
                compared = same["tenants"][tenant]
                assert all(compared[kind]["left"] == compared[kind]["right"] for kind in KINDS)
                assert all(compared[kind]["left"]["rows"] for kind in KINDS)
                assert compared["blobs"]

            await _is_named(stage, str(other.records["admin_uri"]))


async def _is_named(stage: Stage, uri: str) -> None:
    """One difference after the other, on the side of MongoDB and S3: each is found, and told by its name."""
    async with _changed(uri, "records", {"kind": "message"}, None) as record:
        assert await _told(stage) == [("records", ["only_left"], record["record_id"])]
    async with _changed(uri, "targets", {"state": "erased"}, "residue") as target:
        assert await _told(stage) == [("targets", ["state"], target["target_id"])]
    view = stage.settings.second()
    assert view is not None
    async with _flipped(s3_options(view)) as record_id:
        told = await _told(stage)
        assert {kind for kind, _, _ in told} == {"blobs"}
        assert {one for _, what, _ in told for one in what} == {"altered_right"}
        assert record_id in {key for _, _, key in told}
    assert await _told(stage) == []


async def _told(stage: Stage) -> list[tuple[str, list[str], str]]:
    """Of each difference that is named: what kind of thing it is, in which respect, and its id."""
    return [(one["kind"], one["what"], one["key"][0]) for one in differences(await parity(stage))]


async def parity(stage: Stage) -> dict[str, Any]:
    """What `custody parity main other` says."""
    code, output = await stage.command("parity", "main", "other", "--json")
    found: dict[str, Any] = json.loads(output)
    assert code == (0 if found["same"] else 4)
    return found


def differences(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for tenant in found["tenants"].values() for one in tenant["first"]]


@asynccontextmanager
async def _changed(
    uri: str, collection: str, wanted: Mapping[str, Any], state: str | None
) -> AsyncGenerator[dict[str, Any]]:
    """A document is in another state, or with None not there at all, by the superuser's hand; put right at the end."""
    async with client_of(uri) as client:
        documents = client[database_of(uri)][collection]
        found = await documents.find_one(wanted)
        assert found is not None
        if state is None:
            await documents.delete_one({"_id": found["_id"]})
        else:
            await documents.update_one({"_id": found["_id"]}, {"$set": {"state": state}})
        try:
            yield found
        finally:
            await documents.replace_one({"_id": found["_id"]}, found, upsert=True)


@asynccontextmanager
async def _flipped(options: S3Options) -> AsyncGenerator[str]:
    """One byte of a blob is another, in a newer version with the metadata of the first; its record's id."""
    async with bare_client(options) as client:
        page = await client.list_objects_v2(Bucket=options.bucket, MaxKeys=1)
        key = page["Contents"][0]["Key"]
        found = await client.get_object(Bucket=options.bucket, Key=key)
        data = bytearray(await found["Body"].read())
        data[len(data) // 2] ^= 1
        put = await client.put_object(Bucket=options.bucket, Key=key, Body=bytes(data), Metadata=found["Metadata"])
        try:
            yield key.split("/")[-2]
        finally:
            await client.delete_object(Bucket=options.bucket, Key=key, VersionId=put["VersionId"])
