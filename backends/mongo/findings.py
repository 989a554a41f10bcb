"""What `custody check` says of a MongoDB: what its promises lack, each with its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.mongo.facts import NEVER_SLOW_MILLISECONDS, Facts, read_facts
from backends.mongo.steps import known_version
from broker.core.errors import CustodyError, SettingsError
from broker.core.ports import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backends.mongo.connections import MongoOptions

SUBJECT = "records"
OLDEST_FEATURES = (6, 0)
"""Its partial indexes by several states want so much.

Source: https://www.mongodb.com/docs/manual/core/index-partial/, 2026-11
"""
_ENOUGH_MEMBERS = 3
_SHOWN = 4


async def mongo_findings(uri: str, options: MongoOptions, *, strict: bool) -> Sequence[Finding]:
    """What there is to find of the server, the schema and the login; nothing where all is well.

    `strict`: what is only fit for trying out is a problem. What the login may not ask about is passed over: the logins
    of `ensure_writer` may ask about all of it.
    """
    try:
        facts = await read_facts(uri, connect_timeout_seconds=options.connect_timeout_seconds)
    except CustodyError as error:
        correct = "correct its address" if isinstance(error, SettingsError) else "start it, or correct its address"
        return [Finding(level="problem", subject=SUBJECT, message=str(error), remedy=correct)]
    return list(judged(facts, strict=strict, allow_standalone=options.allow_standalone))


def judged(facts: Facts, *, strict: bool, allow_standalone: bool) -> Iterator[Finding]:
    """What the facts mean for the promises."""
    yield from _of_the_set(facts, strict=strict, allow_standalone=allow_standalone)
    yield from _of_durability(facts)
    yield from _of_the_schema(facts)
    yield from _of_discretion(facts, strict=strict)
    yield from _of_access(facts, strict=strict)


def _of_the_set(facts: Facts, *, strict: bool, allow_standalone: bool) -> Iterator[Finding]:
    if not facts.is_set:
        message = "no replica set, and so no transactions" + (": nothing is erased" if allow_standalone else "")
        yield _finding(
            "warning" if allow_standalone else "problem", message, "start mongod with --replSet, then rs.initiate()"
        )
    elif facts.members is not None and facts.members < _ENOUGH_MEMBERS:
        message = f"{facts.members} of {_ENOUGH_MEMBERS} members that keep data: the loss of one loses or stops it"
        yield _finding(_grave(strict=strict), message, "add members: rs.add('host:port')")
    if facts.arbiters:
        message = "an arbiter votes and keeps nothing: with a member down, nothing more is kept by a majority"
        yield _finding("warning", message, "a member that keeps data in its place")
    if facts.feature_version is not None and facts.feature_version < OLDEST_FEATURES:
        found, wanted = (".".join(map(str, one)) for one in (facts.feature_version, OLDEST_FEATURES))
        message = f"the features of MongoDB {found} are older than {wanted}, which the indexes need"
        yield _finding("problem", message, f"db.adminCommand({{setFeatureCompatibilityVersion: '{wanted}'}})")


def _of_durability(facts: Facts) -> Iterator[Finding]:
    if facts.is_journaled is False:
        message = "it has no journal: what it acknowledged is lost when it fails, and so nothing is kept"
        yield _finding("problem", message, "start mongod without --nojournal")
    if facts.majority_is_journaled is False:
        message = "writeConcernMajorityJournalDefault is off: Custody asks for the journal itself, others may not"
        yield _finding("warning", message, "rs.reconfig() with writeConcernMajorityJournalDefault: true")
    if facts.default_write_concern in {0, 1}:
        message = f"who asks for nothing gets w: {facts.default_write_concern}; Custody asks for a majority itself"
        remedy = "db.adminCommand({setDefaultRWConcern: 1, defaultWriteConcern: {w: 'majority'}})"
        yield _finding("warning", message, remedy)


def _of_the_schema(facts: Facts) -> Iterator[Finding]:
    if facts.versions is None:
        yield _finding("problem", "the login may not read the schema's version", "custody init --logins")
        return
    version = max(facts.versions, default=0)
    if version > known_version():
        yield _finding("problem", "its schema is newer than this version of Custody knows", "upgrade Custody")
    elif version < known_version():
        yield _finding("problem", "it lacks the schema of this version", "custody init")
    elif facts.lacking:
        shown = ", ".join(facts.lacking[:_SHOWN]) + (", .." if len(facts.lacking) > _SHOWN else "")
        yield _finding("problem", f"its schema has lost: {shown}", "custody init")


def _of_discretion(facts: Facts, *, strict: bool) -> Iterator[Finding]:
    quoted = facts.quotes_from_milliseconds
    if quoted is not None and quoted < NEVER_SLOW_MILLISECONDS:
        message = f"its log quotes what takes {quoted} ms or longer, and with it what customers wrote"
        remedy = f"mongod --slowms {NEVER_SLOW_MILLISECONDS}, or redactClientLogData on Enterprise"
        yield _finding(_grave(strict=strict), message, remedy)
    if facts.is_profiling:
        message = "its profiler keeps operations, and with them what customers wrote"
        yield _finding(_grave(strict=strict), message, "mongod --profile 0")


def _of_access(facts: Facts, *, strict: bool) -> Iterator[Finding]:
    if facts.lets_anybody_in:
        yield _finding(
            _grave(strict=strict), "it shows documents to whoever calls, without a login", "start mongod with --auth"
        )
    elif facts.may_take_away:
        message = "the login may change and delete records, so that nothing but care keeps them"
        remedy = "custody init --logins with a user of its own, and CUSTODY_RECORDS__ADMIN_URI for the administrator"
        yield _finding(_grave(strict=strict), message, remedy)
    if not facts.is_encrypted and not facts.is_local:
        message = "documents and logins cross the network in the clear"
        yield _finding("warning", message, "tls=true in its address, and net.tls in the servers' settings")


def _grave(*, strict: bool) -> str:
    """The level of what is only fit for trying out."""
    return "problem" if strict else "warning"


def _finding(level: str, message: str, remedy: str) -> Finding:
    return Finding(level=level, subject=SUBJECT, message=message, remedy=remedy)
