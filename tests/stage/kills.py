"""Where a worker may be made to die: the seams, watched from outside, so that production code has no hooks.

A kill is written `step:moment:count`, such as `records.keep:after:3`: SIGKILL to the own process right after the third
batch was kept; `log.append_dead` is an append of dead letters alone. Looks that find nothing are not counted after the
fact. With `:SIGSTOP` behind it freezes instead; with `:HOLD` what is fetched from partition 0 never arrives from then
on, as from a consumer that is stuck; with `:HOLD-fetches` that holds of this stream alone.
"""

from __future__ import annotations

import os
import signal
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from broker.core.topics import Stream, split_topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from broker.core.ports import NewEntry

STEPS = (
    "log.append",
    "log.append_dead",
    "subscription.fetch",
    "subscription.commit",
    "records.keep",
    "records.claim_due",
    "blobs.put",
    "connector.open_part",
    "connector.erase",
)
MOMENTS = ("before", "after")
HOLD = "HOLD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """What happens to a process at the `count`-th arrival at `moment` of `step`: SIGKILL, SIGSTOP or HOLD."""

    step: str
    moment: str
    count: int = 1
    signal: str = "SIGKILL"

    def __post_init__(self) -> None:
        if self.step not in STEPS or self.moment not in MOMENTS or self.count < 1:
            raise ValueError(f"{self}: no such place to die")

    def __str__(self) -> str:
        return f"{self.step}:{self.moment}:{self.count}:{self.signal}"

    @classmethod
    def read(cls, text: str) -> Self:
        step, moment, count, name = text.split(":")
        return cls(step=step, moment=moment, count=int(count), signal=name)


class Fuse:
    """Counts arrivals, and ends this process at the one it was told to."""

    def __init__(self, kill: Kill | None) -> None:
        self._kill = kill
        self._arrivals = 0
        self._holds = False

    def withhold(self, step: str, result: Any) -> Any:  # noqa: ANN401 - whatever the call gave back
        """What arrives of a result: of a fetch that is stuck, nothing of partition 0."""
        if self._kill is None or not self._holds or step != "subscription.fetch":
            return result
        stream = self._kill.signal.removeprefix(HOLD).removeprefix("-")
        return [one for one in result if one.partition or stream not in ("", split_topic(one.topic)[1])]

    def arrive(self, step: str, moment: str) -> None:
        if self._kill is None or (step, moment) != (self._kill.step, self._kill.moment):
            return
        self._arrivals += 1
        if self._arrivals == self._kill.count:
            os.write(2, f"struck at {self._kill}\n".encode())
            if self._kill.signal.startswith(HOLD):
                self._holds = True
                return
            os.kill(os.getpid(), signal.Signals[self._kill.signal])


class Watched:
    """Stands before a seam's implementation, and tells the fuse of each named call."""

    def __init__(self, inner: Any, seam: str, fuse: Fuse) -> None:  # noqa: ANN401 - any implementation of any seam
        self._inner = inner
        self._seam = seam
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the implementation has
        found = getattr(self._inner, name)
        step = f"{self._seam}.{name}"
        if step == "log.subscribe":
            return self._subscribing(found)
        if step == "connector.open_part":
            return self._opening(found)
        return self._calling(found, step) if step in STEPS else found

    def _calling(self, call: Callable[..., Awaitable[Any]], step: str) -> Callable[..., Awaitable[Any]]:
        async def watched(*arguments: Any, **named: object) -> object:  # noqa: ANN401 - whatever the call takes
            steps = (step, "log.append_dead") if step == "log.append" and _only_dead(arguments[0]) else (step,)
            for one in steps:
                self._fuse.arrive(one, "before")
            result = await call(*arguments, **named)
            if result is None or result:
                for one in steps:
                    self._fuse.arrive(one, "after")
            return self._fuse.withhold(step, result)

        return watched

    def _subscribing(self, subscribe: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(*arguments: object, **named: object) -> object:
            return Watched(await subscribe(*arguments, **named), "subscription", self._fuse)

        return watched

    def _opening(
        self, open_part: Callable[..., AbstractAsyncContextManager[Any]]
    ) -> Callable[..., AbstractAsyncContextManager[Any]]:
        @asynccontextmanager
        async def watched(*arguments: object, **named: object) -> AsyncIterator[object]:
            self._fuse.arrive("connector.open_part", "before")
            async with open_part(*arguments, **named) as part:
                self._fuse.arrive("connector.open_part", "after")
                yield part

        return watched


def _only_dead(entries: Sequence[NewEntry]) -> bool:
    """Whether what is appended are dead letters."""
    return all(split_topic(one.topic)[1] is Stream.DEAD for one in entries)


def watched_mapping(found: Mapping[str, object], seam: str, fuse: Fuse) -> Mapping[str, object]:
    """Each value of a mapping, watched."""
    return {name: Watched(one, seam, fuse) for name, one in found.items()}
