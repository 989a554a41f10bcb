"""The schema that this version of Custody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.mongo.steps import known_version
from broker.core.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.mongo.drivers import Document


def check_version(versions: Sequence[Document]) -> None:
    """Refuses any other schema."""
    version, known = max((int(one["version"]) for one in versions), default=0), known_version()
    if version < known:
        raise SchemaError("the record store is older than this version of Custody: run custody init")
    if version > known:
        raise SchemaError("the record store is newer than this version of Custody knows: upgrade Custody")
