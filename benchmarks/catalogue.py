"""Which benchmarks there are: a new one is one entry here, besides the roles of its processes in `benchmarks.child`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from benchmarks.archive import bench as archive
from benchmarks.archive_mongo import bench as archive_mongo
from benchmarks.backlog import bench as backlog
from benchmarks.compression import bench as compression
from benchmarks.costs import bench as costs
from benchmarks.costs import shipping
from benchmarks.edge import bench as edge
from benchmarks.edge import latency
from benchmarks.end_to_end import bench as end_to_end
from benchmarks.erase import bench as erase
from benchmarks.growth import bench as growth
from benchmarks.logs import LogKind
from benchmarks.media import bench as media
from benchmarks.memory import bench as memory
from benchmarks.moving import bench as moving
from benchmarks.peers import bench as peers
from benchmarks.photos import bench as photos
from benchmarks.profile import bench as profile
from benchmarks.soak import bench as soak

if TYPE_CHECKING:
    from benchmarks.figures import Result
    from benchmarks.rounds import Tell
    from benchmarks.stage import Stage

RESULTS = Path(__file__).parent / "results"
"""Where results go that are kept."""
CACHE = Path(__file__).parents[1] / ".cache"
"""Where long benchmarks write down how far they are."""
HOT, ALL, FULL = "hot", "all", "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for. All but `what` are options of the command line by these names."""

    what: str
    runs: int = 5
    entries: int = 50_000
    log: LogKind = LogKind.POSTGRES
    sizes: tuple[int, ...] = growth.SIZES
    minutes: float = 60.0

    @property
    def command(self) -> str:
        """What to type for it."""
        options = [
            f"--{one.name} {_typed(getattr(self, one.name))}"
            for one in fields(self)
            if one.name != "what" and getattr(self, one.name) != one.default
        ]
        return f'make bench ARGS="{" ".join([self.what, *options])}"'


Measure: TypeAlias = "Callable[[Stage, Wanted, Tell], Awaitable[Result]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One that can be asked for by its name.

    `hot`: one of those that `make bench` runs. `long`, `java`: not one of `all`, unless long ones are asked for.
    `full`: with which options each it is run by `make bench-full`. `ship`: writes what comes with Custody from a
    result's document; not done for results that go elsewhere than to `benchmarks/results`.
    """

    about: str
    measure: Measure
    hot: bool = False
    long: bool = False
    java: bool = False
    full: Sequence[Mapping[str, Any]] = ({},)
    ship: Callable[[Mapping[str, Any]], None] | None = None


_BOTH_LOGS: Sequence[Mapping[str, Any]] = ({}, {"log": LogKind.KAFKA})

BENCHMARKS: Mapping[str, Benchmark] = {
    "edge": Benchmark(
        about="webhook to log",
        measure=lambda stage, wanted, tell: edge.measure(
            stage, sizes=edge.sizes(wanted.entries), runs=wanted.runs, tell=tell
        ),
        hot=True,
    ),
    "latency": Benchmark(
        about="webhook to log at half load, in percentiles",
        measure=lambda stage, wanted, tell: latency.measure(
            stage, requests=wanted.entries // 2, runs=wanted.runs, tell=tell
        ),
    ),
    "archive": Benchmark(
        about="log to Postgres",
        measure=lambda stage, wanted, tell: archive.measure(
            stage, entries=wanted.entries, runs=wanted.runs, tell=tell, on=wanted.log
        ),
        hot=True,
        full=_BOTH_LOGS,
    ),
    "end-to-end": Benchmark(
        about="webhook to store: rate, percentiles at half load, and what happens at twice the load",
        measure=lambda stage, wanted, tell: end_to_end.measure(
            stage, entries=wanted.entries, runs=wanted.runs, tell=tell, on=wanted.log
        ),
        hot=True,
        full=_BOTH_LOGS,
    ),
    "profile": Benchmark(
        about="what each stage of archive and edge takes",
        measure=lambda stage, wanted, tell: profile.measure(stage, entries=wanted.entries, tell=tell, on=wanted.log),
    ),
    "archive-mongo": Benchmark(
        about="log to MongoDB",
        measure=lambda stage, wanted, tell: archive_mongo.measure(
            stage, entries=wanted.entries, runs=wanted.runs, tell=tell, on=wanted.log
        ),
        full=_BOTH_LOGS,
    ),
    "backlog": Benchmark(
        about="a worker of bounded memory drains a backlog, and ten times as much",
        measure=lambda stage, wanted, tell: backlog.measure(stage, entries=wanted.entries, tell=tell, on=wanted.log),
        full=_BOTH_LOGS,
    ),
    "compression": Benchmark(
        about="packing of a log on Kafka",
        measure=lambda _stage, wanted, tell: compression.measure(entries=wanted.entries, runs=wanted.runs, tell=tell),
        java=True,
    ),
    "costs": Benchmark(
        about="what each thing costs, for custody size, and how well that predicts mixed traffic",
        measure=lambda stage, wanted, tell: costs.measure(stage, entries=wanted.entries, runs=wanted.runs, tell=tell),
        ship=shipping.ship,
    ),
    "document": Benchmark(
        about="memory for a large document in a blob store",
        measure=lambda stage, _wanted, tell: memory.measure(stage, tell=tell, progress=CACHE / "bench-memory.json"),
        full=(),
    ),
    "memory": Benchmark(
        about="the same, and of demos; goes on where it was stopped",
        measure=lambda stage, _wanted, tell: memory.measure(
            stage, tell=tell, progress=CACHE / "bench-memory.json", demos=memory.DEMO_SIZES
        ),
        long=True,
    ),
    "moving": Benchmark(
        about="copy and parity, at a tenth of the entries and at all",
        measure=lambda stage, wanted, tell: moving.measure(stage, entries=moving.sizes(wanted.entries), tell=tell),
    ),
    "peers": Benchmark(
        about="the archive beside Debezium, MongoDB's sink and a plain handler",
        measure=lambda stage, wanted, tell: peers.measure(stage, entries=wanted.entries, runs=wanted.runs, tell=tell),
        java=True,
    ),
    "photos": Benchmark(
        about="photos into blob stores",
        measure=lambda stage, wanted, tell: photos.measure(stage, runs=wanted.runs, tell=tell),
    ),
    "media": Benchmark(
        about="many small and few huge parts, from messages to blobs",
        measure=lambda stage, wanted, tell: media.measure(stage, runs=wanted.runs, tell=tell),
    ),
    "erase": Benchmark(
        about="deletion commands to a provider that answers at once",
        measure=lambda stage, wanted, tell: erase.measure(
            stage, targets=wanted.entries // 10, runs=wanted.runs, tell=tell, on=wanted.log
        ),
        full=_BOTH_LOGS,
    ),
    "growth": Benchmark(
        about="archive and report on stores of several sizes; goes on where it was stopped",
        measure=lambda stage, wanted, tell: growth.measure(
            stage,
            growth.Load(entries=wanted.entries // 5, runs=3 * wanted.runs, on=wanted.log),  # short, beside the filling
            sizes=wanted.sizes,
            tell=tell,
            progress=CACHE / "bench-growth.json",
        ),
        long=True,
    ),
    "soak": Benchmark(
        about="edge and archive at half load for an hour",
        measure=lambda stage, wanted, tell: soak.measure(stage, minutes=wanted.minutes, tell=tell, on=wanted.log),
        long=True,
    ),
}
"""By name, in the order they are run in."""

SETS: Mapping[str, str] = {
    HOT: "the steps of the hot path: " + ", ".join(name for name, one in BENCHMARKS.items() if one.hot),
    ALL: "all that are short and need no Java",
    FULL: "all there is; goes on where it was stopped",
}
"""Several at once, by name."""


def steps(wanted: Wanted, *, long: bool = False) -> Sequence[Wanted]:
    """One for each result. `long`: all those that take long, too."""
    if wanted.what in BENCHMARKS:
        return [wanted]
    if wanted.what == FULL:
        return [replace(wanted, what=name, **options) for name, one in BENCHMARKS.items() for options in one.full]
    everything = wanted.what == ALL
    chosen = (
        name for name, one in BENCHMARKS.items() if one.hot or (everything and not one.java and (long or not one.long))
    )
    return [replace(wanted, what=name) for name in chosen]


def _typed(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
