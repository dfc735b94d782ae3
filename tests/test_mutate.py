"""The table of faults that scripts/mutate puts into the code: every one of them still applies."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def mutate():
    spec = importlib.util.spec_from_file_location("mutate", ROOT / "scripts" / "mutate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutate"] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules["mutate"]


def test_every_fault_applies_exactly_once_and_makes_python(mutate):
    faults = mutate.read_table()
    problems = []
    for fault in faults:
        try:
            mutate.mutated(fault)
        except ValueError as error:
            problems.append(f"{fault.number}, {fault.kind}: {error}")
    assert problems == []
    assert len({(fault.file, fault.old, fault.new) for fault in faults}) == len(faults)
    assert len({(fault.file, fault.wrong) for fault in faults}) == len(faults)


def test_the_tests_of_every_fault_are_there(mutate):
    for fault in mutate.read_table():
        files = [each for each in fault.tests.split() if each.endswith(".py")]
        assert files
        assert all((ROOT / each).is_file() for each in files), fault.tests


def test_a_fault_that_applies_no_more_or_twice_is_an_error(mutate, tmp_path):
    (tmp_path / "code.py").write_text("a = 1\nb = 1\nc = 2\n")

    def fault(old, new):
        return mutate.Fault(1, "kind", "code.py", old, new, "tests", "all of it")

    assert mutate.mutated(fault("c = 2", "c = 3"), tmp_path) == "a = 1\nb = 1\nc = 3\n"
    for old, new, told in (
        ("= 1", "= 2", "has its text 2 times"),
        ("d = 1", "d = 2", "has its text 0 times"),
        ("c = 2", "c = 2", "changes nothing"),
        ("c = 2", "c = (", "makes no Python"),
    ):
        with pytest.raises(ValueError, match=told):
            mutate.mutated(fault(old, new), tmp_path)


def test_a_fault_is_seen_by_a_test_that_fails_with_it_and_passes_without(mutate, tmp_path):
    """In a repository of its own, whose tests are fine, fail always, or look elsewhere."""
    code, tests = tmp_path / "code.py", tmp_path / "tests"
    tests.mkdir()
    code.write_text("def double(x):\n    return 2 * x\n")
    found = "from pathlib import Path\nsource = Path(__file__).parents[1] / 'code.py'\n"
    (tests / "test_sees.py").write_text(
        found + "def test(): assert '2 * x' in source.read_text()\n"
    )
    (tests / "test_blind.py").write_text("def test(): pass\n")
    (tests / "test_broken.py").write_text("def test(): assert False\n")
    copies = iter(range(9))

    def copied(place):
        shutil.copytree(tmp_path, place, ignore=shutil.ignore_patterns("place*"))
        return place

    place = tmp_path / f"place{next(copies)}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutate, "ROOT", tmp_path)
        patch.setattr(mutate, "_copied", copied)
        given = [
            mutate.Fault(number, "kind", "code.py", "2 * x", "3 * x", f"tests/{name}.py", "it")
            for number, name in enumerate(("test_sees", "test_blind", "test_broken", "test_none"))
        ]
        place.mkdir()
        outcomes = {f.number: outcome for f, outcome, _ in mutate.Mutation(given, 2, place).run()}
    assert outcomes == {0: "seen", 1: "not seen", 2: "error", 3: "error"}
    assert "2 * x" in code.read_text()
