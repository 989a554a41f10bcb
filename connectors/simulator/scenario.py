"""Plays a scenario: tells its story as often as it takes, one draft at a time, at the pace the receiver allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.simulator.cast import cast
from connectors.simulator.errors import ConfigError
from connectors.simulator.story import SCENES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from connectors.simulator.compose import Composer
    from connectors.simulator.draft import Draft
    from connectors.simulator.emit import Emitter

SCENARIOS = {"insurance": SCENES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What to play. `messages`: how many inbound messages; 0 tells the story once. `seed`: None takes the settings'.

    `at`: when the story begins, in Unix seconds. It then goes on a second with each draft, whatever the time is, so
    that it is the same story again.
    """

    scenario: str = "insurance"
    messages: int = 0
    seed: int | None = None
    at: int | None = None

    def __post_init__(self) -> None:
        """Refuse a scenario nobody wrote. Raises ConfigError."""
        if self.scenario not in SCENARIOS:
            message = f"no scenario is called {self.scenario}: choose among {', '.join(SCENARIOS)}"
            raise ConfigError(message)
        if self.messages < 0:
            message = f"{self.messages} messages cannot be played: give 0 for one telling, or a number above"
            raise ConfigError(message)


class StoryClock:
    """The time in a story that begins at `at`: a second later with each `tick`."""

    def __init__(self, at: int) -> None:
        self._now = at

    def __call__(self) -> float:
        """Unix seconds."""
        return float(self._now)

    def tick(self) -> None:
        """Go on to the next second."""
        self._now += 1


def script(
    play: Play, *, accounts: tuple[str, ...], composer: Callable[[str], Composer], seed: int
) -> Iterator[tuple[Composer, Draft]]:
    """The drafts of a play, each with the composer of its number: scenes go to the numbers in turn."""
    scenes, left, telling = SCENARIOS[play.scenario], play.messages, 0
    while True:
        people = cast(seed, telling)
        for place, scene in enumerate(scenes):
            compose = composer(accounts[(telling + place) % len(accounts)])
            for draft in scene(compose, people):
                yield compose, draft
                left -= _counts(draft)
                if play.messages and left == 0:
                    return
        telling += 1
        if not play.messages:
            return


def _counts(draft: Draft) -> bool:
    """Whether this is one of the inbound messages that were asked for; a variant is another delivery of one."""
    return draft.inbound and not any(entry.variant for entry in draft.entries)


async def perform(
    drafts: Iterator[tuple[Composer, Draft]], *, emitter: Emitter, clock: StoryClock | None = None
) -> int:
    """Send a script to its end; how many inbound messages were sent. Waits wherever the couriers are busy."""
    sent = 0
    for compose, draft in drafts:
        sent += _counts(draft)
        await emitter.emit(draft, composer=compose)
        if clock is not None:
            clock.tick()
    return sent
