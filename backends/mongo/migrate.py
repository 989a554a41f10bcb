"""The schema of the record store on MongoDB: made and brought up to date by an administrator.

MongoDB makes no collections and indexes within a transaction, and has no lock for administrators to take turns by. So
each thing is made unless it is there, in any order and from several places at once; a step counts as applied once all
of it is there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pymongo.errors import CollectionInvalid, DuplicateKeyError, OperationFailure

from backends.mongo.administering import administer, database_of
from backends.mongo.steps import Shape, Step, known_version, shapes, steps
from broker.core.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from backends.mongo.administering import Database

VERSIONS = "schema_versions"
_INDEX_NOT_FOUND, _NAMESPACE_EXISTS = 27, 48


async def migrate(uri: str, database_name: str) -> list[str]:
    """Applies the steps that are missing, and returns their names; without any, what had been lost and was made again.

    Safe to repeat, and from several places at once. `SchemaError`: the schema is newer than this version knows, or a
    step was applied in another form; nothing is changed. `StoreUnavailableError`: the server does not answer, or
    refuses the login or what it may do.
    """
    return await administer(uri, lambda client: _migrate(database_of(client, database_name)))


async def _migrate(database: Database) -> list[str]:
    missing = await _missing(database)
    repaired = [one async for one in _make(database)]
    applied = [one.name for one in missing if await _record(database, one)]
    return applied if missing else repaired


async def lacking(database: Database) -> AsyncIterator[str]:
    """What the schema of this version has and the database has not: collections, validators and indexes, by name."""
    there = {one["name"]: one async for one in await database.list_collections()}
    for name, shape in shapes().items():
        if name not in there:
            yield f"collection {name}"
            continue
        if not _validates(there[name].get("options", {}), shape):
            yield f"validator {name}"
        for index in await _lacking_indexes(database, name, shape):
            yield f"index {name}.{index}"


async def applied_versions(database: Database) -> dict[int, str]:
    """The steps that were applied, each with its digest."""
    return {int(one["version"]): one["digest"] async for one in database[VERSIONS].find()}


async def _missing(database: Database) -> list[Step]:
    applied = await applied_versions(database)
    if max(applied, default=0) > known_version():
        raise SchemaError("the record store is newer than this version of Custody knows: upgrade Custody")
    changed = [one.name for one in steps() if applied.get(one.version, one.digest) != one.digest]
    if changed:
        raise SchemaError(f"the record store: {', '.join(changed)} was applied in another form: use its own release")
    return [one for one in steps() if one.version not in applied]


async def _make(database: Database) -> AsyncIterator[str]:
    """Makes what is lacking; yields each."""
    async for what in lacking(database):
        kind, _, full_name = what.partition(" ")
        name, _, index = full_name.partition(".")
        shape = shapes()[name]
        if kind == "collection":
            await _make_collection(database, name, shape)
        elif kind == "validator":
            await _make_validator(database, name, shape)
        else:
            await _drop_index(database, name, index)
            await _make_indexes(database, name, shape, [index])
        yield what


async def _make_collection(database: Database, name: str, shape: Shape) -> None:
    try:
        await database.create_collection(name, validator=shape.validator, check_exists=False)
    except CollectionInvalid:
        pass
    except OperationFailure as error:  # another administrator was faster
        if error.code != _NAMESPACE_EXISTS:
            raise
        await _make_validator(database, name, shape)
    await _make_indexes(database, name, shape, list(shape.indexes))


async def _make_validator(database: Database, name: str, shape: Shape) -> None:
    await database.command(
        "collMod", name, validator=shape.validator, validationLevel="strict", validationAction="error"
    )


async def _make_indexes(database: Database, name: str, shape: Shape, indexes: list[str]) -> None:
    if indexes:
        made = [{"name": index, **shape.indexes[index].specification} for index in indexes]
        await database.command("createIndexes", name, indexes=made)


async def _drop_index(database: Database, name: str, index: str) -> None:
    """Drops an index of that name, which is of another form."""
    try:
        await database[name].drop_index(index)
    except OperationFailure as error:
        if error.code != _INDEX_NOT_FOUND:
            raise


async def _lacking_indexes(database: Database, name: str, shape: Shape) -> list[str]:
    there = {one["name"]: one async for one in await database[name].list_indexes()}
    return [
        index
        for index, wanted in shape.indexes.items()
        if {key: there.get(index, {}).get(key) for key in wanted.specification} != wanted.specification
    ]


def _validates(options: dict[str, Any], shape: Shape) -> bool:
    action, level = options.get("validationAction", "error"), options.get("validationLevel", "strict")
    return options.get("validator", {}) == shape.validator and (
        not shape.fields or (action, level) == ("error", "strict")
    )


async def _record(database: Database, step: Step) -> bool:
    """Notes that a step was applied; whether it was this one who did."""
    try:
        await database[VERSIONS].insert_one(
            {
                "_id": step.version,
                "version": step.version,
                "name": step.name,
                "digest": step.digest,
                "applied_at": time.time_ns() // 1000,
            }
        )
    except DuplicateKeyError:
        return False
    return True
