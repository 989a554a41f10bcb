"""Two stores side by side: whatever is asked of both, both answer the same, or refuse it alike.

A side is one implementation under test. Another implementation joins by a class with its own `opened`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from broker.core.errors import CustodyError, OffsetGapError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Generator

    from broker.core.ports import Clock

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
T = TypeVar("T")

Emptied = Callable[[], Awaitable[S_co]]
"""The store, holding nothing: for the next example."""


class Side(Protocol[S_co]):
    """One implementation: opened once for all examples, emptied for each."""

    def opened(self, clock: Clock) -> AbstractAsyncContextManager[Emptied[S_co]]: ...


@dataclass(frozen=True, slots=True)
class Refused:
    """What a store answers if it writes nothing, with the offset it expected, where that was the reason."""

    error: type[CustodyError]
    expected: int | None


class Pair(Generic[S]):
    """Two stores, and the loop their calls run on: a state machine's rules are not asynchronous."""

    def __init__(self, runner: asyncio.Runner, sides: tuple[Emptied[S], Emptied[S]]) -> None:
        self._runner = runner
        self._sides = sides
        self.stores: tuple[S, S] | None = None

    def empty(self) -> None:
        """Begins anew."""
        left, right = self._sides
        self.stores = self._runner.run(_both(left, right))

    def ask(self, call: Callable[[S], Awaitable[T]]) -> T | Refused:
        """The one answer of both stores. A retryable error is none: it is raised."""
        if self.stores is None:
            raise RuntimeError("empty() comes first")
        left, right = (self._runner.run(_answer(call, store)) for store in self.stores)
        assert left == right, _difference(left, right)
        return left

    def tell(self, call: Callable[[S], Awaitable[T]]) -> T:
        """The one answer of both stores, where there is nothing to refuse."""
        answer = self.ask(call)
        assert not isinstance(answer, Refused), answer
        return answer


@contextmanager
def side_by_side(left: Side[S], right: Side[S], clock: Clock) -> Generator[Pair[S]]:
    """Opens both sides, for as many examples as are wanted."""
    with asyncio.Runner() as runner:
        exits = AsyncExitStack()
        try:
            first = runner.run(exits.enter_async_context(left.opened(clock)))
            other = runner.run(exits.enter_async_context(right.opened(clock)))
            yield Pair(runner, (first, other))
        finally:
            runner.run(exits.aclose())


def _difference(left: object, right: object) -> str:
    """Both answers; of answers by name, those that differ."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        names = [name for name in {**left, **right} if left.get(name) != right.get(name)]
        return "\n".join(f"{name}: {left.get(name)}\n  and {right.get(name)}" for name in names)
    return f"{left}\n  and {right}"


async def _both(left: Emptied[S], right: Emptied[S]) -> tuple[S, S]:
    return await left(), await right()


async def _answer(call: Callable[[S], Awaitable[T]], store: S) -> T | Refused:
    try:
        return await call(store)
    except RetryableError:
        raise
    except CustodyError as error:
        return Refused(type(error), error.expected if isinstance(error, OffsetGapError) else None)
