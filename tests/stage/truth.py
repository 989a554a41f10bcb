"""The simulated provider's word, asked for in the same process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from broker.judge import Row


@dataclass(frozen=True, slots=True)
class Truth:
    """See `broker.judge.ProviderTruth`."""

    provider: Simulator

    async def truth(self) -> AsyncIterator[Row]:
        for row in self.provider.truth():
            yield row

    async def held(self) -> AsyncIterator[Row]:
        for row in self.provider.held():
            yield row

    async def media(self) -> AsyncIterator[Row]:
        for row in self.provider.media():
            yield row

    async def deletes(self) -> AsyncIterator[Row]:
        for row in self.provider.deletes():
            yield row
