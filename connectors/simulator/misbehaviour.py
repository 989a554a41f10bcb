"""The provider's documented bad behaviour, each piece with the probability that it strikes.

A draw depends on the seed, the behaviour's name and what it strikes, never on timing: the same run strikes the same
messages again, however its requests interleave.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from connectors.simulator.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REMEMBERED_ATTEMPTS = 20_000
"""Keys whose attempts are counted at once; the longest unseen is forgotten, so that a long run stays small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaviour:
    """Probabilities from 0 (never, the default) to 1 (always), and `slow_seconds`, how long a slow answer takes.

    Webhooks:
    - `duplicates`: after its 200, a body is delivered again, or one of its items in another body;
    - `out_of_order`: an item waits until later ones have passed it;
    - `statuses_before_messages`: an outbound message's statuses come before its echo, or before the call's answer;
    - `lost`: an inbound message never comes; an `errors` value with code 131035 and no ids comes in its stead;
    - `unsupported`: an inbound message comes as type `unsupported`, its content lost;
    - `variant`: an item comes a second time under the same id with other content;
    - `lone_surrogate`, `nul`: a text holds an unpaired surrogate, a NUL;
    - `undeliverable`: an outbound message ends in `failed` with code 131036.

    Graph API and media:
    - `expired_media_urls`: a media URL is over its 5 minutes when it is handed out;
    - `media_gone`: a media id that a webhook names was never there;
    - `wrong_digest`: the announced SHA-256 is not that of the bytes, for good;
    - `damaged_download`: one download's bytes are cut short or changed, the next may be whole;
    - `unauthorized`: 401 with code 190; `throttled`: 429 with code 130429, 80007 or 4;
    - `server_errors`: 500 or 503, nothing done; `lost_answers`: a deletion is carried out, but answered 503;
    - `slow`: an answer takes `slow_seconds` longer.
    """

    duplicates: float = 0.0
    out_of_order: float = 0.0
    statuses_before_messages: float = 0.0
    lost: float = 0.0
    unsupported: float = 0.0
    variant: float = 0.0
    lone_surrogate: float = 0.0
    nul: float = 0.0
    undeliverable: float = 0.0
    expired_media_urls: float = 0.0
    media_gone: float = 0.0
    wrong_digest: float = 0.0
    damaged_download: float = 0.0
    unauthorized: float = 0.0
    throttled: float = 0.0
    server_errors: float = 0.0
    lost_answers: float = 0.0
    slow: float = 0.0
    slow_seconds: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a probability outside 0..1. Raises ConfigError."""
        for one in fields(self):
            value = getattr(self, one.name)
            highest = float("inf") if one.name == "slow_seconds" else 1.0
            if not 0.0 <= value <= highest:
                message = f"misbehaviour {one.name} is {value}: give a number from 0 to {highest:g}"
                raise ConfigError(message)

    def changed(self, changes: Mapping[str, object]) -> Misbehaviour:
        """The same with some values changed. Raises ConfigError for a name or value that does not fit."""
        known = {one.name for one in fields(self)}
        for name, value in changes.items():
            if name not in known:
                message = f"no misbehaviour is called {name}: choose among {', '.join(sorted(known))}"
                raise ConfigError(message)
            if isinstance(value, bool) or not isinstance(value, int | float):
                message = f"misbehaviour {name} is not a number: give a probability from 0 to 1"
                raise ConfigError(message)
        return replace(self, **{name: float(str(value)) for name, value in changes.items()})


def fraction(seed: int, *parts: str) -> float:
    """A number in [0, 1) that depends on nothing but the seed and the parts."""
    digest = blake2b("\x1f".join((str(seed), *parts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


class Draws:
    """Decides what strikes. `strikes` is the same for the same key; `strikes_again` draws anew for each call."""

    def __init__(self, *, seed: int, misbehaviour: Misbehaviour) -> None:
        self.seed = seed
        self.misbehaviour = misbehaviour
        self.struck: Counter[str] = Counter()
        self._attempts: dict[str, int] = {}

    def strikes(self, name: str, key: str) -> bool:
        """Whether the behaviour `name` strikes `key`, once and for all."""
        probability: float = getattr(self.misbehaviour, name)
        if probability <= 0.0 or fraction(self.seed, name, key) >= probability:
            return False
        self.struck[name] += 1
        return True

    def strikes_again(self, name: str, key: str) -> bool:
        """Whether it strikes this attempt on `key`; attempts are counted only while the behaviour is switched on."""
        if getattr(self.misbehaviour, name) <= 0.0:
            return False
        counted = f"{name} {key}"
        attempt = self._attempts.pop(counted, 0) + 1
        self._attempts[counted] = attempt
        if len(self._attempts) > _REMEMBERED_ATTEMPTS:
            del self._attempts[next(iter(self._attempts))]
        return self.strikes(name, f"{key} {attempt}")

    def choose(self, count: int, *parts: str) -> int:
        """A number from 0 to `count` - 1 for these parts."""
        return int(fraction(self.seed, "choose", *parts) * count)
