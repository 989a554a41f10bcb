"""Where a stage's records and blobs rest: the settings of one store, as the stage's settings have them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from broker.store_settings import StoreName
from tests.mongo_servers import as_login
from tests.s3_servers import bucket_name

if TYPE_CHECKING:
    from tests.mongo_servers import SharedMongo
    from tests.s3_servers import SharedS3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """One store: its profile, and the settings of its two sections."""

    profile: StoreName
    records: Mapping[str, Any] = field(repr=False)
    blobs: Mapping[str, Any] = field(repr=False)

    def sections(self) -> Mapping[str, Any]:
        """As they stand in the settings, for the main store; below `other` for the second."""
        return {"store": self.profile, "records": self.records, "blobs": self.blobs}


@asynccontextmanager
async def on_s3_mongo(mongo: SharedMongo, s3: SharedS3) -> AsyncGenerator[Stores]:
    """A fresh database on the one, a fresh bucket on the other; both are made when the stage is prepared."""
    async with mongo.fresh_database() as uri:
        login = as_login(uri, f"stage_{secrets.token_hex(4)}", secrets.token_hex(16))
        yield Stores(
            profile="s3_mongo",
            records={"uri": login, "admin_uri": uri, "pool_size": 6},
            blobs={
                "bucket": bucket_name(),
                "endpoint": s3.endpoint,
                "path_style": True,
                "access_key": s3.access_key,
                "secret_key": s3.secret_key,
            },
        )
