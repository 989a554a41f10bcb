"""`python -m tests.mutants [NAME..]`: applies each mutant to a copy of the tree, and expects its tests to fail.

Ends with 0 when every mutant was seen by each of its tests, with 1 when one was not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tests.mutants.mutant import Mutant, all_mutants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
_MOST_SECONDS = 600
_TESTS_FAILED = 1
"""Of pytest's exit codes the only one that means: a test ran and failed.

Source: https://docs.pytest.org/en/stable/reference/exit-codes.html, 2026-11-26.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a mutant was `seen` by one of its tests; else `why` not, with the end of what pytest said."""

    mutant: Mutant
    test: str
    seen: bool
    why: str = ""


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    chosen = _chosen(arguments)
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="custody-mutants-") as folder:
        copy = Path(folder) / "tree"
        verdicts = []
        for mutant in chosen.mutants:
            console.print(f"[dim]{mutant.name}: {mutant.complaint}[/]", highlight=False)
            verdicts += list(_judge(mutant, copy))
    (_print_json if chosen.as_json else _print_table)(verdicts)
    return 0 if all(one.seen for one in verdicts) else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    mutants: list[Mutant]
    as_json: bool


def _chosen(arguments: Sequence[str]) -> _Chosen:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="the beginning of a mutant's name; all if none is given"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    given = parser.parse_args(arguments)
    mutants = [one for one in all_mutants() if not given.names or one.name.startswith(tuple(given.names))]
    if not mutants:
        parser.error("no mutant has such a name; see tests/mutants")
    return _Chosen(mutants=mutants, as_json=given.json)


def _judge(mutant: Mutant, copy: Path) -> Iterator[Verdict]:
    _copy_tree(copy)
    applied = _run(["git", "apply", "--whitespace=nowarn", str(mutant.path)], copy)
    if applied.returncode:
        why = f"the patch does not apply any more: make it anew\n{applied.stderr}"
        yield from (Verdict(mutant=mutant, test=test, seen=False, why=why) for test in mutant.tests)
        return
    for test in mutant.tests:
        yield _run_test(mutant, test, copy)


def _run_test(mutant: Mutant, test: str, copy: Path) -> Verdict:
    try:
        ended = _run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test], copy)
    except subprocess.TimeoutExpired:
        return Verdict(mutant=mutant, test=test, seen=False, why=f"no answer in {_MOST_SECONDS} s: it hangs")
    if ended.returncode == _TESTS_FAILED:
        return Verdict(mutant=mutant, test=test, seen=True)
    words = "passes without the protection" if ended.returncode == 0 else f"could not run (exit {ended.returncode})"
    return Verdict(mutant=mutant, test=test, seen=False, why=f"{words}\n{ended.stdout[-1500:]}")


def _copy_tree(copy: Path) -> None:
    """The files git knows of, as they are in the working tree now."""
    shutil.rmtree(copy, ignore_errors=True)
    listed = _run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], ROOT)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command in a tree whose modules come before the installed ones, in its processes too."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_MOST_SECONDS, check=False
    )


def _print_table(verdicts: Sequence[Verdict]) -> None:
    table = Table("row", "mutant", "seen by")
    for one in verdicts:
        rows = ", ".join(map(str, one.mutant.rows))
        test = one.test.rpartition("/")[2].replace("::", " ")
        table.add_row(rows, one.mutant.name, test if one.seen else f"[red]NOT by {test}[/]")
    console = Console()
    console.print(table)
    for one in verdicts:
        if not one.seen:
            console.print(f"{one.mutant.name}: {one.test}: {one.why}", markup=False, style="red")


def _print_json(verdicts: Sequence[Verdict]) -> None:
    document = [
        {"mutant": one.mutant.name, "rows": one.mutant.rows, "test": one.test, "seen": one.seen, "why": one.why}
        for one in verdicts
    ]
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
