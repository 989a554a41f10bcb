"""Findings about what people write: one line each, with the name as they typed it, what is wrong, and an example.

Never a value: it may be a secret, also when it stands in the wrong place.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tomllib
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

_BEGUN = 4
_WORDS: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not a name known here",
    "bool_parsing": "is neither true nor false",
    "bool_type": "is neither true nor false",
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "int_type": "is not a whole number",
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "finite_number": "is not a finite number",
    "string_type": "is not text",
    "path_type": "is not a path",
    "tuple_type": "is not a list",
    "list_type": "is not a list",
    "too_short": "is empty",
    "string_too_short": "is empty",
    "dict_type": "is not a table",
    "model_type": "is not a table of settings",
    "model_attributes_type": "is not a table of settings",
}


def line(name: str, what: str, example: str) -> str:
    """One finding."""
    return f"{name}: {what}; for example {example}"


def what(error: ErrorDetails) -> str:
    """What a pydantic error means, in words that hold nothing of the input."""
    limits: Mapping[str, Any] = error.get("ctx", {})
    kind = error["type"]
    if kind in {"greater_than_equal", "greater_than"}:
        return f"is too small: {'at least' if 'ge' in limits else 'more than'} {limits.get('ge', limits.get('gt'))}"
    if kind in {"less_than_equal", "less_than"}:
        return f"is too large: {'at most' if 'le' in limits else 'less than'} {limits.get('le', limits.get('lt'))}"
    if kind in {"literal_error", "enum"}:
        return f"is not one of {limits['expected']}"
    if kind == "value_error":
        return str(limits["error"])
    return _WORDS.get(kind, "is not a value that fits here")


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that somebody who typed `name` may have meant."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    begun = [one for one in names if len(name) >= _BEGUN and one.startswith(name)]
    return next(iter([*close, *begun]), None)


def meant(close: str | None) -> str:
    """`, did you mean ...?`, or nothing."""
    return f", did you mean {close}?" if close else ""


def not_toml(path: Path, error: tomllib.TOMLDecodeError) -> str:
    """That a file is not TOML, and where; the parser's own words may quote what it read."""
    where = re.search(r"\(at line \d+, column \d+\)$", str(error))
    return f"{path.name} is not TOML {where[0] if where else '(at its end)'}"
