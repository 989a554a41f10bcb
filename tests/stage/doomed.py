"""Runs workers as `custody run` does, but for a fuse at the seams and short waits.

    python -m tests.stage.doomed archive relay --kill records.keep:after:3
    python -m tests.stage.doomed --command dead list --json

The wiring's factories are replaced before the workers start; everything else is the product's own. Any other command is
run as it stands, but that copying and comparing go in small steps, so that a kill finds much done and much to do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from unittest.mock import patch

from backends.postgres.connections import PostgresOptions
from broker import app, cli, copying, parity, servers
from broker.commands import parity as parity_command
from broker.core import erasure
from broker.log.postgres import PostgresLogOptions
from tests.stage.kills import Fuse, Kill, Watched, watched_mapping

_LOG: Mapping[str, Any] = {"lease_seconds": 1.0, "timeout_seconds": 4.0}
"""Whoever was killed or frozen loses partitions after the first, and what it locks after the second."""
_STORE: Mapping[str, Any] = {"idle_seconds": 4.0, "command_timeout_seconds": 8.0}
COMMAND = "--command"
_ROWS_A_STEP = 20
RETRY_SECONDS = 0.2
"""The first wait before a provider object is to be deleted once more."""

Opener = Callable[..., Awaitable[Any]]


def main(arguments: Sequence[str]) -> int:
    """Runs the command; its exit code."""
    if arguments[:1] == [COMMAND]:
        with (
            patch.object(copying, "_ROWS_AT_ONCE", _ROWS_A_STEP),
            patch.object(parity, "_ROWS_AT_ONCE", _ROWS_A_STEP),
            patch.object(parity_command, "_SAVE_SECONDS", 0.0),
        ):
            return cli.main(arguments[1:])
    parser = argparse.ArgumentParser()
    parser.add_argument("workers", nargs="*")
    parser.add_argument("--kill", type=Kill.read)
    given = parser.parse_args(arguments)
    fuse = Fuse(given.kill)
    with (
        patch.object(erasure, "RETRY_FIRST_SECONDS", RETRY_SECONDS),
        patch.object(erasure, "RETRY_MOST_SECONDS", 10 * RETRY_SECONDS),
        patch.object(servers, "PostgresLogOptions", partial(PostgresLogOptions, **_LOG)),
        patch.object(servers, "PostgresOptions", partial(PostgresOptions, **_STORE)),
        patch.object(app, "open_log", _watching(app.open_log, "log", fuse)),
        patch.object(app, "open_records", _watching(app.open_records, "records", fuse)),
        patch.object(app, "open_blobs", _watching(app.open_blobs, "blobs", fuse)),
        patch.object(app, "open_connectors", _watching_each(app.open_connectors, "connector", fuse)),
    ):
        return cli.main(["run", *given.workers])


def _watching(opener: Opener, seam: str, fuse: Fuse) -> Opener:
    async def opened(*arguments: object, **named: object) -> object:
        return Watched(await opener(*arguments, **named), seam, fuse)

    return opened


def _watching_each(opener: Opener, seam: str, fuse: Fuse) -> Opener:
    async def opened(*arguments: object, **named: object) -> object:
        return watched_mapping(await opener(*arguments, **named), seam, fuse)

    return opened


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
