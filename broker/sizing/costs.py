"""What one of each thing costs, as a benchmark measured it: `costs.json`, which comes with the package.

`make bench ARGS="costs"` measures it on another machine, and writes the file anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

RECORDED = Path(__file__).with_name("costs.json")
"""Where the costs lie that come with the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeCosts:
    """How long one edge process is busy with a request, and with each item in it; and the CPU time of the log's server.

    `source` is where the figures come from, here and below.
    """

    source: str
    request_microseconds: float
    item_microseconds: float
    server_request_microseconds: float
    server_item_microseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryCosts:
    """What an entry costs that the archive worker keeps.

    `worker_microseconds`: how long one worker is busy with it, servers waited for; `cpu_microseconds` of that are its
    own CPU time. `server_microseconds`: CPU time of the Postgres with log and store. `store_bytes`: rows and indexes;
    `wal_bytes`: what that server writes ahead. `log_bytes`: disk of a log on Postgres, and `entry_bytes`: key, headers
    and value, which is what Kafka stores unpacked; each with the notice on `kept`, where there is one.
    """

    source: str
    worker_microseconds: float
    cpu_microseconds: float
    server_microseconds: float
    store_bytes: float
    wal_bytes: float
    log_bytes: float
    entry_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCosts:
    """What one piece of work costs another worker: its own CPU time, that of Postgres, and bytes it puts on the log.

    The bytes are those of entries that the archive worker does not read: tasks and commands.
    """

    source: str
    cpu_microseconds: float
    server_microseconds: float
    log_bytes: float
    entry_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """All costs, measured `at` a time on a machine by a command; `note` says what to know before relying on them.

    `document`: a message with a part, and with the target that comes of it. `scan`: a message looked at for parts.
    `fetch`: a part of `part_bytes` downloaded and kept. `relay`: a target claimed and commanded. `erase`: a deletion
    carried out.
    `blob_bytes_a_byte`: disk of a blob store on Postgres for each byte of a part.
    """

    machine: str
    at: str
    command: str
    note: str
    edge: EdgeCosts
    text: EntryCosts
    document: EntryCosts
    status: EntryCosts
    part: EntryCosts
    receipt: EntryCosts
    scan: WorkerCosts
    fetch: WorkerCosts
    relay: WorkerCosts
    erase: WorkerCosts
    part_bytes: float
    blob_bytes_a_byte: float


def recorded(path: Path = RECORDED) -> Costs:
    """The costs of a file. `msgspec.ValidationError` where it is no such file."""
    return msgspec.json.decode(path.read_bytes(), type=Costs)


def record(costs: Costs, path: Path = RECORDED) -> None:
    """Writes a file of costs."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(costs), indent=2) + b"\n")
