"""The table of faults that scripts/mutate puts into the code: every one of them still applies."""

from __future__ import annotations

import importlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def table(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("mutate_table")


@pytest.fixture
def trial(table):
    return importlib.import_module("mutate_trial")


def test_all_162_faults_apply_exactly_once_and_make_python(table):
    faults = table.read_table()
    problems = []
    for fault in faults:
        try:
            table.mutated(fault)
        except ValueError as error:
            problems.append(f"{fault.number}, {fault.kind}: {error}")
    assert problems == []
    assert len(faults) == 162
    assert len({(fault.file, fault.old, fault.new) for fault in faults}) == len(faults)
    assert len({(fault.file, fault.wrong) for fault in faults}) == len(faults)


def test_no_fault_is_seen_for_a_name_that_is_not_defined(table, tmp_path):
    for fault in table.read_table():
        if fault.file.endswith(".py"):
            (tmp_path / f"fault_{fault.number}.py").write_text(table.mutated(fault))
    command = ["ruff", "check", "--isolated", "--select=F821", "--output-format=concise"]
    checked = subprocess.run(
        [sys.executable, "-m", *command, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_the_tests_of_every_fault_are_there(table):
    for fault in table.read_table():
        files = [path for path in shlex.split(fault.tests) if path.startswith("tests")]
        assert files
        assert all((ROOT / path).exists() for path in files), fault.tests


def test_a_fault_that_applies_no_more_or_twice_is_an_error(table, tmp_path):
    (tmp_path / "code.py").write_text("a = 1\nb = 1\nc = 2\n")

    def fault(old, new):
        return table.Fault(1, "kind", "code.py", old, new, "tests", "all of it")

    assert table.mutated(fault("c = 2", "c = 3"), tmp_path) == "a = 1\nb = 1\nc = 3\n"
    for old, new, message in (
        ("= 1", "= 2", "has its text 2 times"),
        ("d = 1", "d = 2", "has its text 0 times"),
        ("c = 2", "c = 2", "changes nothing"),
        ("c = 2", "c = (", "makes no Python"),
    ):
        with pytest.raises(ValueError, match=message):
            table.mutated(fault(old, new), tmp_path)


def test_a_fault_is_seen_by_a_test_that_fails_with_it_and_passes_without(
    table, trial, tmp_path, monkeypatch
):
    """In a repository of its own, whose tests are fine, fail always, or look elsewhere."""
    code, tests = tmp_path / "code.py", tmp_path / "tests"
    tests.mkdir()
    code.write_text("def double(x):\n    return 2 * x\n")
    preamble = "from pathlib import Path\nsource = Path(__file__).parents[1] / 'code.py'\n"
    (tests / "test_sees.py").write_text(
        preamble + "def test(): assert '2 * x' in source.read_text()\n"
    )
    (tests / "test_blind.py").write_text("def test(): pass\n")
    (tests / "test_broken.py").write_text("def test(): assert False\n")

    def copied(copy):
        shutil.copytree(tmp_path, copy, ignore=shutil.ignore_patterns("copy"))
        return copy

    monkeypatch.setattr(trial, "_copied", copied)
    names = ("test_sees", "test_blind", "test_broken", "test_none")
    faults = [
        table.Fault(number, "kind", "code.py", "2 * x", "3 * x", f"tests/{name}.py", "it")
        for number, name in enumerate(names)
    ]
    copy = tmp_path / "copy"
    copy.mkdir()
    outcomes = {f.number: outcome for f, outcome, _ in trial.Mutation(faults, 2, copy).run()}
    assert outcomes == {0: "seen", 1: "not seen", 2: "error", 3: "error"}
    assert "2 * x" in code.read_text()
