"""What a Postgres tells of itself, and what that means for the promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from backends.postgres.connections import ENDS_OLD_TRANSACTIONS
from broker.core.ports import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_CONNECT_SECONDS = 10.0
_FACTS = """
SELECT rolsuper OR rolbypassrls AS mighty, current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('log_error_verbosity') AS verbosity,
       current_setting('server_version_num')::integer / 10000 AS version,
       datcollversion <> pg_database_collation_actual_version(own.oid) AS sorts_otherwise
FROM pg_catalog.pg_roles, pg_catalog.pg_database AS own
WHERE rolname = current_user AND datname = current_database()
"""


async def postgres_findings(dsn: str, subject: str, *, strict: bool) -> Sequence[Finding]:
    """Each of the server's settings and of the login's rights that the promises suffer from; graver where `strict`."""
    try:
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS)
        try:
            found = await connection.fetchrow(_FACTS)
        finally:
            await connection.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        message = f"did not tell its settings ({type(error).__name__})"
        return [Finding(level="warning", subject=subject, message=message, remedy="custody check")]
    return list(_judged(subject, dict(found or {}), strict=strict))


def _judged(subject: str, facts: Mapping[str, object], *, strict: bool) -> Iterator[Finding]:
    """What the server's own settings mean for the promises."""
    grave = "problem" if strict else "warning"
    if facts.get("mighty"):
        remedy = "custody init --logins with a user of its own, and CUSTODY_*__ADMIN_DSN for the administrator"
        message = "the login may do anything, so that nothing but care keeps records from being changed"
        yield Finding(level=grave, subject=subject, message=message, remedy=remedy)
    if facts.get("fsync") != "on":
        message = "fsync is off: the server forgets what it acknowledged when the power fails"
        yield Finding(level=grave, subject=subject, message=message, remedy="fsync = on in postgresql.conf")
    if facts.get("full_page_writes") != "on":
        message = "full_page_writes is off: a page half written stays broken"
        yield Finding(level=grave, subject=subject, message=message, remedy="full_page_writes = on")
    if facts.get("synchronous_commit") == "off":
        message = "synchronous_commit is off by default: Custody sets it for itself, others may not"
        yield Finding(level="warning", subject=subject, message=message, remedy="synchronous_commit = on")
    if facts.get("sorts_otherwise"):
        message = "text is sorted otherwise than when indexes were made: what is kept may not be found, or come twice"
        remedy = "REINDEX DATABASE, then ALTER DATABASE ... REFRESH COLLATION VERSION, with the workers stopped"
        yield Finding(level="problem", subject=subject, message=message, remedy=remedy)
    if facts.get("verbosity") != "terse":
        message = "its own log may quote rows in the details of errors"
        yield Finding(level="warning", subject=subject, message=message, remedy="log_error_verbosity = terse")
    if int(str(facts.get("version") or 0)) < ENDS_OLD_TRANSACTIONS:
        message = "can't end the transaction of a process that hangs amid a statement: others wait for its locks"
        remedy = f"PostgreSQL {ENDS_OLD_TRANSACTIONS} or later; until then liveness probes that end what hangs"
        yield Finding(level="warning", subject=subject, message=message, remedy=remedy)
