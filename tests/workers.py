"""Tests in several processes: forks of the one that has imported and collected everything.

Each takes the next file whenever it is free, so that none is idle while files are left.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO

import pytest

LONGEST = ("tests/sweeps", "tests/browser", "tests/training", "tests/cli", "tests/test_docs.py")
"""What comes first: what is short fills the gaps at the end."""
TOGETHER = ("tests/browser",)
"""Folders whose files share what takes long to make: one worker takes all of them."""
NUMBER_BYTES = 4


def run_in_forks(session: pytest.Session, workers: int, begin: Callable[[], None]) -> None:
    """Run the collected tests in `workers` forks of this process and print what each of them says.

    Returns in each fork once there are no files left to take, and in this process once all forks
    have ended: `session.testsfailed` is then how many of them failed.

    Args:
        session: that has collected the tests.
        workers: how many processes run tests at a time.
        begin: called in each fork before its first test.
    """
    files = files_longest_first(session.items)
    waiting, numbers = os.pipe()
    os.write(numbers, b"".join(n.to_bytes(NUMBER_BYTES) for n in range(len(files))))
    os.close(numbers)
    outputs: dict[int, IO[bytes]] = {}
    sys.stdout.flush()
    for _ in range(workers):
        output = tempfile.TemporaryFile()  # noqa: SIM115
        process = os.fork()
        if process == 0:
            write_into(session, output)
            for opened in (output, *outputs.values()):
                opened.close()
            begin()
            run_tests(session, taken(files, waiting))
            return
        outputs[process] = output
    os.close(waiting)
    while outputs:
        process, status = os.wait()
        with outputs.pop(process) as output:
            output.seek(0)
            said = output.read().decode(errors="replace")
        code = os.waitstatus_to_exitcode(status)
        print(said, f"A worker ended with status {code}.", sep="\n", flush=True)
        session.testsfailed += code != 0


def files_longest_first(items: Sequence[pytest.Item]) -> list[list[pytest.Item]]:
    """The tests of each file (or folder of `TOGETHER`), those of `LONGEST` before all others."""

    def home(item: pytest.Item) -> Path:
        return item.path.parent if item.nodeid.startswith(TOGETHER) else item.path

    def place(tests: list[pytest.Item]) -> int:
        starts = [tests[0].nodeid.startswith(name) for name in LONGEST]
        return starts.index(True) if True in starts else len(starts)

    return sorted((list(tests) for _, tests in groupby(items, home)), key=place)


def taken(files: Sequence[list[pytest.Item]], waiting: int) -> Iterator[pytest.Item]:
    """Tests of the files whose numbers this process reads from a pipe, until that is empty."""
    while number := os.read(waiting, NUMBER_BYTES):
        yield from files[int.from_bytes(number)]


def run_tests(session: pytest.Session, items: Iterator[pytest.Item]) -> None:
    """Run tests as pytest's own loop does, which wants a list of all of them."""
    item = next(items, None)
    while item is not None:
        following = next(items, None)  # whose fixtures stay
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following


def write_into(session: pytest.Session, file: IO[bytes]) -> None:
    """Make `file` the standard output and error of this process, for pytest's capturing too."""
    capturing = session.config.pluginmanager.getplugin("capturemanager")
    capturing.stop_global_capturing()
    for stream in (1, 2):
        os.dup2(file.fileno(), stream)
    capturing.start_global_capturing()
    capturing.suspend_global_capture()
