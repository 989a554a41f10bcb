"""What reads the stores for canaries finds one in whichever corner it was planted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.mongo_stores import administered
from tests.s3_servers import bare_client, fresh_bucket
from tests.stage.canaries import Canary, leaks
from tests.stage.columns import mongo_columns, postgres_columns, s3_columns
from tests.stores import execute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.mongo_servers import SharedMongo
    from tests.s3_servers import SharedS3

WORD = "Piepmatz-Dk5Hn8Wz"
CANARIES = [Canary("planted", WORD.encode())]


@pytest.mark.parametrize(("kind", "value"), [("text", WORD), ("bytea", WORD.encode()), ("text[]", ["a", WORD])])
async def test_in_a_column(database: str, kind: str, value: object) -> None:
    await execute(database, f"CREATE TABLE public.nest (egg {kind})")
    assert leaks(CANARIES, _told(await postgres_columns(database))) == []
    await execute(database, "INSERT INTO public.nest VALUES ($1)", value)
    assert leaks(CANARIES, _told(await postgres_columns(database))) == ["planted, plain, in public.nest.egg"]


@pytest.mark.parametrize("value", [WORD, WORD.encode(), {"egg": [WORD.encode()]}, {WORD: 1}])
async def test_in_a_field(mongo_server: SharedMongo, value: object) -> None:
    async with mongo_server.fresh_database() as uri, administered(uri) as database:
        await database.nest.insert_one({"other": 1})
        assert leaks(CANARIES, _told(await mongo_columns(uri))) == []
        await database.nest.insert_one({"egg": value})
        assert leaks(CANARIES, _told(await mongo_columns(uri))) == ["planted, plain, in mongo.nest.egg"]


@pytest.mark.parametrize(
    ("column", "planted"),
    [
        ("data", {"Body": WORD.encode()}),
        ("metadata", {"Key": f"nest/{WORD}"}),
        ("metadata", {"Metadata": {"egg": WORD}}),
        ("metadata", {"Tagging": f"egg={WORD}"}),
    ],
)
async def test_in_an_object_that_has_a_newer_version(s3_server: SharedS3, column: str, planted: dict[str, Any]) -> None:
    options = await fresh_bucket(s3_server)
    put: dict[str, Any] = {"Bucket": options.bucket, "Key": "nest", "Body": b"an egg"}
    async with bare_client(options) as client:
        await client.put_object(**put)
        assert leaks(CANARIES, _told(await s3_columns(options))) == []
        await client.put_object(**put | planted)
        await client.put_object(**put)
    assert leaks(CANARIES, _told(await s3_columns(options))) == [f"planted, plain, in s3.objects.{column}"]


def _told(columns: Mapping[tuple[str, str, str], bytes]) -> dict[str, bytes]:
    return {".".join(name): held for name, held in columns.items()}
