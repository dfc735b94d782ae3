"""Whatever operation on the sweep's files fails, and however: a line, no run that is left running,
and a sweep that goes on to the same end."""

from __future__ import annotations

import builtins
import errno
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cvtrain.runs.storage_errors import NO_MORE, storage_failure
from tests.sweeps.small_sweep import assert_equal, resume, statuses, sweep

SHORT = ("optimizer=sgd", "objective.scale=1", "seed=0,1", "max_steps=20", "model.hidden=[3]")
ERRORS = sorted(NO_MORE)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("network") / "whole"
    assert sweep(directory, *SHORT) == 0
    return directory


class Server:
    """A file system whose operations are counted, of which some fail: opens, reads of directories,
    renames, removals, writes that are to be on disk (fsync), locks, and looks at a file."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.done, self.fails_from, self.fails_to = 0, 1 << 30, 1 << 30
        self.error = errno.ESTALE

    def fail(self, first: int, last: int, error: int) -> None:
        self.done, self.fails_from, self.fails_to, self.error = 0, first, last, error

    def heal(self) -> None:
        self.fail(1 << 30, 1 << 30, 0)

    def operation(self, path: Any) -> None:
        if isinstance(path, int):
            try:
                path = Path(f"/proc/self/fd/{path}").readlink()
            except OSError:
                return
        if not str(path).startswith(self.root):
            return
        self.done += 1
        if self.fails_from <= self.done < self.fails_to:
            raise OSError(self.error, os.strerror(self.error), str(path))


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Server]:
    served = Server(tmp_path / "served")

    def watched(place: Any, name: str) -> None:
        function: Callable[..., Any] = getattr(place, name)

        def call(path: Any, *arguments: Any, **named: Any) -> Any:
            # A lock is given back by the system at the latest when its process ends.
            if fcntl.LOCK_UN not in arguments or name != "flock":
                served.operation(path)
            return function(path, *arguments, **named)

        monkeypatch.setattr(place, name, call)

    for name in ("open", "replace", "rename", "unlink", "fsync", "scandir", "mkdir", "chmod"):
        watched(os, name)
    watched(fcntl, "flock")
    watched(io, "open")
    watched(builtins, "open")
    yield served
    served.heal()


def assert_line(err: str) -> None:
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("cvtrain: ")]
    assert lines, err


def test_any_operation_may_fail_once_or_for_good(whole, tmp_path, server, capsys, share):
    (tmp_path / "served").mkdir()
    untouched = tmp_path / "served" / "untouched"
    server.fail(1 << 30, 1 << 30, 0)
    assert sweep(untouched, *SHORT) == 0
    operations = server.done
    assert operations > 100
    cases = share(6 * len(ERRORS))
    for case in range(cases):
        directory = tmp_path / "served" / str(case)
        first = 1 + case * operations // cases
        once = case % 2 == 0
        number = ERRORS[case % len(ERRORS)]
        capsys.readouterr()
        server.fail(first, first + 1 if once else 1 << 30, number)
        status = sweep(directory, *SHORT)
        server.heal()
        printed = capsys.readouterr().err
        said = (
            f"operation {first} of {operations}, {errno.errorcode[number]}, once: {once}\n{printed}"
        )
        assert status in (0, 1, 2), said
        assert "Traceback" not in printed, said
        if status:
            assert_line(printed)
        if once and directory.exists():
            assert "running" not in statuses(directory).values(), said
        if not (directory / "sweep.json").exists():
            continue  # it had not begun
        assert resume(directory) == 0, said
        assert_equal(whole, directory)


@pytest.mark.parametrize("number", ERRORS)
def test_every_error_of_a_file_system_is_told_as_one(tmp_path, number):
    within = OSError(number, os.strerror(number), str(tmp_path / "0" / "metrics.csv"))
    assert str(tmp_path) in str(storage_failure(within, tmp_path))
    assert storage_failure(OSError(number, os.strerror(number)), tmp_path) is not None
    elsewhere = OSError(number, os.strerror(number), "/elsewhere/data.bin")
    assert storage_failure(elsewhere, tmp_path) is None


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, capsys, number):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert sweep(tmp_path / "sweep", *SHORT) == 2
    assert "its file system has no locks" in capsys.readouterr().err


def test_a_lack_of_shared_memory_is_not_blamed_on_the_sweep(tmp_path, monkeypatch, capsys):
    def semaphore(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", semaphore)
    directory = tmp_path / "sweep"
    assert sweep(directory, *SHORT, "hydra.launcher.workers=2") == 1
    printed = capsys.readouterr().err
    assert "cvtrain: /dev/shm: shared memory cannot be used" in printed
    assert "hydra.launcher.workers=1" in printed
    assert "cannot be written any more" not in printed
    assert "Traceback" not in printed


def test_a_lack_of_room_for_temporary_files_is_not_blamed_on_the_sweep(tmp_path, monkeypatch):
    folder, root = tmp_path / "tmp", tmp_path / "sweep"
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    for number in (errno.ENOSPC, errno.EROFS, errno.ENOENT):
        failure = storage_failure(OSError(number, os.strerror(number), str(folder / "x")), root)
        assert f"{folder}: temporary files cannot be written" in str(failure)
        assert "TMPDIR" in str(failure)
    assert storage_failure(OSError(errno.EIO, "", str(root / "x")), root) is not None
