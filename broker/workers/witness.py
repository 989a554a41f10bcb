"""When a credential lately worked: without that, an absent object may just be one we may not see."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from broker.core.ports import Clock


@dataclass(slots=True, kw_only=True)
class Witness:
    """Remembers the last success per account; `lately` is how long one counts."""

    clock: Clock
    lately: timedelta = timedelta(minutes=15)
    _last: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def saw(self, provider: str, account: str) -> None:
        """The credential of this account just worked on one of its objects."""
        self._last[provider, account] = self.clock()

    def vouches(self, provider: str, account: str) -> bool:
        """Whether it did so lately."""
        last = self._last.get((provider, account))
        return last is not None and self.clock() - last < self.lately
