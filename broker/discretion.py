"""What may be told in logs, metrics and messages: a second net under the rule that content never gets there.

Whatever looks like a phone number, a provider's id, a credential or another's address is left out. Ids and
pseudonyms of Custody's own, times and network addresses pass, and so do the names that are `permitted`: the provider's
ids of registered accounts, which are settings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.core.registry import Registry

LEFT_OUT = "[left out]"
_PLAIN_NUMBER = 10**9
_COUNTING = ("offset", "bytes", "count", "size", "seq", "next", "entries", "handled", "beats")

_PATTERN = re.compile(
    r"""
    (?P<kept>
        \b\d{4}-\d{2}-\d{2}(?:[T\ ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?\b  # a time
      | \b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b                                                # an address
      | \b(?:rec|cnv|pty|tgt|var|dlv)_[a-z2-7]{24,40}\b                                         # an id of ours
      | \boffset\ \d{1,18}\b
    )
  | wamid[\w.=+/%:-]*                                                                           # a provider's id
  | (?<=://)[^/\s@]+@                                                                           # a login in a URL
  | [\w.+-]+@[\w-]+\.[\w.]+                                                                     # a mail address
  | \+?\d(?:[\ ()-]{0,2}\d){6,}                                                                 # a phone number
  | (?=[\w+=-]*[a-z])(?=[\w+=-]*[A-Z])(?=[\w+=-]*\d)[\w+=-]{16,}                                # base64, a token
    """,
    re.VERBOSE | re.ASCII,
)


@dataclass(slots=True)
class Discretion:
    """Leaves out what must not be told. `permitted` words pass as they are."""

    permitted: set[str] = field(default_factory=set)

    def permit(self, names: Iterable[str]) -> None:
        """Lets these pass from now on."""
        self.permitted.update(names)

    def permit_registered(self, registry: Registry) -> None:
        """Lets the provider's ids of registered apps and accounts pass."""
        self.permit(app.app_id for app in registry.apps.values())
        for account in registry.accounts.values():
            self.permit((account.id, account.group))

    def text(self, value: str) -> str:
        """The text without what must not be told."""
        return _PATTERN.sub(self._instead, value)

    def value(self, name: str, value: object) -> object:
        """A value to be logged under `name`: text without what must not be told, plain numbers, and nothing else."""
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return value if abs(value) < _PLAIN_NUMBER or name.endswith(_COUNTING) else LEFT_OUT
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(name, one) for one in value]
        return f"[{type(value).__name__}]"

    def _instead(self, found: re.Match[str]) -> str:
        return found[0] if found.lastgroup == "kept" or found[0] in self.permitted else LEFT_OUT


PLAIN = Discretion()
"""Permits nothing beside the patterns: for what may hold anything."""
LOGS = Discretion()
"""What this process' logs go through."""
