"""What a long run has done so far, on disk: after an interruption it is not done again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Progress:
    """Plain values of JSON by key, in a file that is there while a run is under way."""

    path: Path

    def done(self) -> Mapping[str, Any]:
        """What was done since it was last forgotten."""
        found: Mapping[str, Any] = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        return found

    def add(self, key: str, value: object) -> None:
        """One thing more is done. The file is replaced as a whole: whoever is interrupted leaves the one before."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps({**self.done(), key: value}), encoding="utf-8")
        beside.replace(self.path)

    def forget(self) -> None:
        """All is done, or to be done anew."""
        self.path.unlink(missing_ok=True)
