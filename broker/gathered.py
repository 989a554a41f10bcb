"""Settings as they were gathered from every source, and how each is named to whoever wrote it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from broker.settings import DELIMITER, PREFIX, Settings, setting_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(slots=True)
class Gathered:
    """The values of every source, one over the other, and those of the file alone, for naming."""

    values: dict[str, Any] = field(default_factory=dict)
    file: Path | None = None
    in_file: dict[str, Any] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def name(self, path: tuple[str, ...]) -> str:
        """A setting as the user typed it: by its variable, or by its key in the file."""
        if self.file is not None and self.is_in_file(path):
            return f"{'.'.join(path)} in {self.file.name}"
        return setting_name(*path)

    def example(self, path: tuple[str, ...], example: str) -> str:
        """An example of right, written as this setting was: as a variable, or as a line of the file."""
        return as_toml(example) if self.is_in_file(path) else example

    def is_in_file(self, path: tuple[str, ...]) -> bool:
        """Whether the file is where this setting comes from."""
        return has(self.in_file, path) and setting_name(*path) not in variables()


def variables() -> frozenset[str]:
    """The names of the variables that are ours and hold something."""
    return frozenset(name.upper() for name, value in os.environ.items() if name.upper().startswith(PREFIX) and value)


def dotted(variable: str) -> str:
    """A setting as it stands in a file."""
    return variable.removeprefix(PREFIX).lower().replace(DELIMITER, ".")


def as_toml(example: str) -> str:
    """`CUSTODY_EDGE__PORT=8400` as it stands in a file."""
    variable, _, value = example.partition("=")
    plain = re.fullmatch(r"-?\d+(\.\d+)?", value)
    return f"{dotted(variable)} = {value if plain else chr(34) + value + chr(34)}"


def known_names() -> dict[str, str]:
    """Every setting by its variable, with an example."""
    known: dict[str, str] = {}
    for path, info in fields(Settings, ()):
        name = setting_name(*path)
        examples = info.examples or [info.default]
        known[name] = f"{name}={examples[0]}"
    return known


def fields(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every setting below `path`, and what pydantic knows of it."""
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from fields(inner, (*path, name))
        else:
            yield (*path, name), info


def groups() -> dict[str, tuple[str, ...]]:
    """Every group of settings by the variable that it would be."""
    paths = [path[:depth] for path, _ in fields(Settings, ()) for depth in range(1, len(path))]
    return {setting_name(*path): path for path in paths}


def example_in(*group: str) -> str:
    """An example of a setting of that group."""
    start = setting_name(*group)
    return next((example for name, example in known_names().items() if name.startswith(start)), f"{start}=...")


def section(values: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """A group of settings as it was given; empty if it is not one."""
    found: object = values
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def has(table: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Whether a value stands at that place."""
    for one in path:
        if not isinstance(table, dict) or one not in table:
            return False
        table = table[one]
    return True
