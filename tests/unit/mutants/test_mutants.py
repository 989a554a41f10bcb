"""The mutants still fit the code: each applies, and names tests that are there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant, all_mutants

_ROOT = Path(__file__).parents[3]
_ROWS_WITH_MUTANTS = {*range(1, 16), 17, 18}


def test_every_complaint_that_a_mutant_can_stand_for_has_one() -> None:
    assert {row for mutant in all_mutants() for row in mutant.rows} == _ROWS_WITH_MUTANTS


@pytest.mark.parametrize("mutant", all_mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_applies_and_its_tests_are_there(mutant: Mutant) -> None:
    applied = subprocess.run(
        ["git", "apply", "--check", str(mutant.path)],  # noqa: S607 - git, wherever it is
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert applied.returncode == 0, f"make it anew: {applied.stderr}"
    for test in mutant.tests:
        path, *names = test.split("::")
        source = (_ROOT / path).read_text(encoding="utf-8")
        assert (
            not names
            or "EventLog" in test
            or "KafkaLog" in test
            or "Postgres" in test
            or f"def {names[-1].partition('[')[0]}(" in source
        )


def test_a_patch_without_a_head_is_refused(tmp_path: Path) -> None:
    patch = tmp_path / "bad.patch"
    patch.write_text("Row: 1\nComplaint: something\ndiff --git a/x b/x\n", encoding="utf-8")
    with pytest.raises(ValueError, match="Takes out"):
        Mutant.read(patch)
