"""Records that a stage's store will not take: a rule of the database itself, which knows them by their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.mongo_stores import administered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.stage.stage import Stage

_CHECK = ("ALTER TABLE custody_pas.records ADD CONSTRAINT poison CHECK (record_id <> ALL (ARRAY[{ids}]))",)
_TRIGGER = (
    (
        "CREATE FUNCTION custody_pas.poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'poison' USING ERRCODE = '22023'; END $$"
    ),
    (
        "CREATE TRIGGER poison BEFORE INSERT ON custody_pas.records FOR EACH ROW"
        " WHEN (NEW.record_id = ANY (ARRAY[{ids}])) EXECUTE FUNCTION custody_pas.poison()"
    ),
)
_CURES = (
    "ALTER TABLE custody_pas.records DROP CONSTRAINT IF EXISTS poison",
    "DROP FUNCTION IF EXISTS custody_pas.poison CASCADE",
)


async def poison(stage: Stage, ids: Sequence[str], *, by_trigger: bool = False) -> None:
    """From now on the store refuses these records. On Postgres a trigger may do it, in words of its own."""
    if stage.options.layout.main is None:
        listed = ", ".join(f"'{one}'" for one in ids)
        statements = _TRIGGER if by_trigger else _CHECK
        await stage.servers.execute("records", *(one.replace("{ids}", listed) for one in statements))
        return
    refused = {"record_id": {"$nin": list(ids)}}
    await _validate(stage, {"$and": [await _validator(stage), refused]})


async def cure(stage: Stage) -> None:
    """The store takes them."""
    if stage.options.layout.main is None:
        await stage.servers.execute("records", *_CURES)
        return
    own, _ = (await _validator(stage))["$and"]
    await _validate(stage, own)


async def _validator(stage: Stage) -> Any:  # noqa: ANN401 - as MongoDB has it
    async with administered(_admin(stage)) as database:
        (found,) = await (await database.list_collections(filter={"name": "records"})).to_list()
    return found["options"]["validator"]


async def _validate(stage: Stage, validator: object) -> None:
    async with administered(_admin(stage)) as database:
        await database.command("collMod", "records", validator=validator)


def _admin(stage: Stage) -> str:
    main = stage.options.layout.main
    if main is None:
        raise LookupError("the stage's records are on Postgres")
    return str(main.records["admin_uri"])
