"""What fails for lack of storage, shared memory, locks or temporary files is told as that."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Any

import pytest

from cvtrain.record.storage import NO_MORE, storage_failure
from tests.sweep.small_sweep import sweep

SHORT = ("optimizer=sgd", "objective.scale=1", "seed=0,1", "max_steps=20", "model.hidden=[3]")
ERRORS = sorted(NO_MORE)


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
    told = capsys.readouterr().err
    assert "cvtrain: /dev/shm: shared memory cannot be used" in told
    assert "hydra.launcher.workers=1" in told
    assert "cannot be written any more" not in told
    assert "Traceback" not in told


def test_a_lack_of_room_for_temporary_files_is_not_blamed_on_the_sweep(tmp_path, monkeypatch):
    folder, root = tmp_path / "tmp", tmp_path / "sweep"
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    for number in (errno.ENOSPC, errno.EROFS, errno.ENOENT):
        told = storage_failure(OSError(number, os.strerror(number), str(folder / "x")), root)
        assert f"{folder}: temporary files cannot be written" in str(told)
        assert "TMPDIR" in str(told)
    assert storage_failure(OSError(errno.EIO, "", str(root / "x")), root) is not None
