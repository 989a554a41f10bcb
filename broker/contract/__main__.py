"""`python -m broker.contract write|check|release`, run by `make contract` and `make contracts`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from broker import __version__
from broker.contract import files
from broker.contract.compatibility import breaks

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Runs the command; its exit code: 1 where the contract breaks a reader, or is not what the code says.

    `release` freezes what the code says now as this version's, for later ones to be held against.
    """
    parser = argparse.ArgumentParser(prog="python -m broker.contract", description=__doc__)
    parser.add_argument("action", choices=("write", "check", "release"))
    action = parser.parse_args(arguments).action
    contract = files.generated()
    problems = _broken(contract, but=__version__ if action == "release" else None)
    if action == "write":
        files.write(contract, files.HOME)
    elif action == "check":
        problems += _drift(contract)
    elif not problems:
        files.write(contract, files.RELEASED / __version__)
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201 - a command speaks
    return 1 if problems else 0


def _broken(contract: files.Contract, *, but: str | None) -> list[str]:
    release = files.last_release(but=but)
    if release is None:
        return []
    return [f"breaks readers of {release.name}: {one}" for one in breaks(files.read(release), contract)]


def _drift(contract: files.Contract) -> list[str]:
    wanted, found = files.written(contract), files.files(files.HOME)
    return [
        f"broker/contract/{name}: is not what the code says: make contract"
        for name in sorted(wanted.keys() | found.keys())
        if wanted.get(name) != found.get(name)
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
