"""A mutant: a patch with a head that says what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

FOLDER = Path(__file__).parent
_FIRST_LINE_OF_A_DIFF = "diff --git "


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`rows` are those of the table of complaints; `takes_out` the protection; `tests` must fail without it."""

    path: Path
    rows: tuple[int, ...]
    complaint: str
    takes_out: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """As it is named on the command line."""
        return self.path.stem

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the head of a patch: `Name: value` a line, `Test:` once for each test. `ValueError` for another."""
        head = path.read_text(encoding="utf-8").partition(_FIRST_LINE_OF_A_DIFF)[0]
        fields: dict[str, list[str]] = {}
        for line in head.splitlines():
            name, colon, value = line.partition(": ")
            if not colon:
                raise ValueError(f"{path.name}: {line!r} is not 'Name: value'")
            fields.setdefault(name, []).append(value)
        try:
            return cls(
                path=path,
                rows=tuple(int(one) for one in fields["Row"]),
                complaint=" ".join(fields["Complaint"]),
                takes_out=" ".join(fields["Takes out"]),
                tests=tuple(fields["Test"]),
            )
        except KeyError as missing:
            raise ValueError(f"{path.name}: its head has no {missing}") from None


def all_mutants() -> list[Mutant]:
    """Every mutant there is, by name."""
    return [Mutant.read(path) for path in sorted(FOLDER.glob("*.patch"))]
