"""Workers run each collected test once, and what fails in one of them fails the whole."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.documented_tables import ROOT

CONFTEST = """
import pytest
from tests.workers import run_in_forks

@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    run_in_forks(session, 2, lambda: None)
    return True
"""
FILE = """
import os, signal, time, pytest

@pytest.fixture(scope="module")
def once():
    yield

@pytest.mark.parametrize("number", range(3))
def test_one(number, once, capfd):
    print("unseen")
    time.sleep(0.1)
    open("ran", "a").write(f"{os.getpid()} {__name__} {number}\\n")
    PLANTED
"""


@pytest.mark.parametrize(
    ("planted", "status", "printed"),
    [
        ("pass", 0, "A worker ended with status 0."),
        ("assert (__name__, number) != ('test_2', 1)", 1, "FAILED test_2.py::test_one[1] - Asser"),
        ("number == 1 and os.kill(os.getpid(), signal.SIGKILL)", 1, "ended with status -9"),
    ],
    ids=["passing", "failing", "killed"],
)
def test_each_test_runs_once_and_a_failure_is_one_of_the_whole(tmp_path, planted, status, printed):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for number in range(4):
        (tmp_path / f"test_{number}.py").write_text(FILE.replace("PLANTED", planted))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert printed in done.stdout
    assert ("unseen" in done.stdout) == (status == 1 and "kill" not in planted)  # captured
    ran = [line.split() for line in (tmp_path / "ran").read_text().splitlines()]
    assert len({process for process, *_ in ran}) == 2
    tests = [(name, number) for _, name, number in ran]
    assert len(set(tests)) == len(tests)
    if "kill" not in planted:
        assert len(tests) == 12
