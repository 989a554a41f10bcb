"""What values are made of: immutable, compared field by field, and hidden where they are content.

Structs of msgspec rather than dataclasses, since every record is some thirty values on its way: they are built, hashed,
compared and encoded in C, and the garbage collector need not look at them, which none of them can be a cycle of.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import TYPE_CHECKING, Annotated, Final, TypeVar, get_args, get_type_hints

import msgspec

__all__ = ["Hidden", "Value", "replace"]

T = TypeVar("T")

_HIDDEN: Final = object()
Hidden = Annotated[T, _HIDDEN]
"""Of a field whose value never stands in a `repr`, and so in no log and no error."""


class Value(msgspec.Struct, frozen=True, gc=False):
    """A base of values. Its fields hold values, too, and nothing that may change."""

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in _shown(type(self)))
        return f"{type(self).__name__}({', '.join(shown)})"


@cache
def _shown(kind: type[Value]) -> tuple[str, ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple(name for name in kind.__struct_fields__ if not _is_hidden(hints[name]))


def _is_hidden(hint: object) -> bool:
    return _HIDDEN in getattr(hint, "__metadata__", ()) or any(_is_hidden(one) for one in get_args(hint))


if TYPE_CHECKING:
    from dataclasses import replace  # the names and types of what is changed are checked
else:

    def replace(value: T, /, **changes: object) -> T:
        """The value with some of its fields changed: a `Value`, or a dataclass."""
        changed = msgspec.structs.replace if isinstance(value, Value) else dataclasses.replace
        return changed(value, **changes)
