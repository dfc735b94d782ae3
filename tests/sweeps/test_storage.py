"""A disk that takes no more: a line, files that parse, and a sweep that goes on to the same end."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cvtrain.cli.train import main
from cvtrain.process.errors import StorageFailed
from cvtrain.process.lifetime import PREFIX
from cvtrain.process.plain_text import cvtrain_command
from cvtrain.runs import files
from cvtrain.runs.files import AppendedFile
from cvtrain.runs.storage_errors import storage_failure, translate_storage_errors
from tests.sweeps.small_sweep import SMALL, assert_equal, resume, sweep

SHORT = ("optimizer=sgd", "objective.scale=1", "seed=0,1", "max_steps=20")
MORE = "cannot be written any more"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("storage") / "whole"
    assert sweep(directory, *SHORT) == 0
    return directory


class Disk:
    """Counts what is written below a directory, and takes nothing after so many writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.root = root
        self.written, self.takes, self.error = 0, 1 << 30, errno.ENOSPC
        flush, mkstemp = AppendedFile.flush, tempfile.mkstemp

        def counted_flush(file: AppendedFile) -> None:
            if file._pending:
                self.count(file._path)
            flush(file)

        def counted_mkstemp(**where: Any) -> tuple[int, str]:
            self.count(where["dir"])
            return mkstemp(**where)

        monkeypatch.setattr(AppendedFile, "flush", counted_flush)
        monkeypatch.setattr(files.tempfile, "mkstemp", counted_mkstemp)

    def count(self, path: Path | str | None) -> None:
        if path is None or not Path(path).is_relative_to(self.root):
            return  # a stack is tried out in a directory that is thrown away
        self.written += 1
        if self.written > self.takes:
            raise OSError(self.error, os.strerror(self.error))


@pytest.fixture
def disk(monkeypatch, tmp_path):
    return Disk(monkeypatch, tmp_path)


def assert_told(err: str, directory: Path) -> None:
    lines = err.splitlines()
    hints = [line for line in lines if MORE in line]
    assert len(hints) == 1
    assert hints[0].startswith(f"cvtrain: {directory}: {MORE}")
    assert "Traceback" not in err
    for path in directory.glob("**/*.json"):
        json.loads(path.read_text(encoding="utf-8"))


def test_a_disk_that_fills_up_at_any_write_ends_in_a_line_and_loses_nothing(
    whole, tmp_path, capsys, disk
):
    untouched = tmp_path / "untouched"
    assert sweep(untouched, *SHORT) == 0
    writes, shares = disk.written, 3
    assert writes > 2 * shares
    for share in range(shares):
        directory = tmp_path / str(share)
        disk.written, disk.takes = 0, 1 + share * (writes - 1) // shares
        capsys.readouterr()
        assert sweep(directory, *SHORT) == 1
        printed = capsys.readouterr().err
        assert_told(printed, directory)
        assert f"cvtrain: to continue: {cvtrain_command(f'resume={directory}')}\n" in printed
        disk.takes = 1 << 30
        assert resume(directory) == 0
        assert_equal(whole, directory)


def refuse_temporary_directories(patch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), "/elsewhere")

    patch.setattr("cvtrain.runs.storage_errors.scratch_directory", refuse)


def fill_temporary_directories(patch: pytest.MonkeyPatch, number: int) -> None:
    folder, flush = Path(tempfile.gettempdir()), AppendedFile.flush

    def refuse(file: AppendedFile) -> None:
        below = file._path.relative_to(folder).parts if file._path.is_relative_to(folder) else ("",)
        if below[0].startswith(PREFIX):
            raise OSError(number, os.strerror(number), str(file._path))
        flush(file)

    patch.setattr(AppendedFile, "flush", refuse)


NO_PLACE = "temporary files cannot be written"


@pytest.mark.parametrize(
    ("broken", "number", "line"),
    [
        (refuse_temporary_directories, errno.ENOSPC, NO_PLACE),
        pytest.param(refuse_temporary_directories, errno.EROFS, NO_PLACE, marks=pytest.mark.long),
        (refuse_temporary_directories, errno.EMFILE, NO_PLACE),
        pytest.param(fill_temporary_directories, errno.ENOSPC, NO_PLACE, marks=pytest.mark.long),
        (fill_temporary_directories, errno.EACCES, NO_PLACE),
        (fill_temporary_directories, errno.EMFILE, "trying out a stack failed for a reason of"),
    ],
)
def test_a_machine_on_which_no_stack_can_be_tried_ends_the_sweep_in_a_line_and_changes_no_bit(
    whole, tmp_path, capsys, broken, number, line
):
    directory = tmp_path / "sweep"
    with pytest.MonkeyPatch.context() as patch:
        broken(patch, number)
        assert sweep(directory, *SHORT) == 1
    printed = capsys.readouterr().err
    assert printed.count(f"cvtrain: {line}") == 1
    assert os.strerror(number) in printed
    assert "one by one" not in printed
    assert "Traceback" not in printed
    assert f"cvtrain: to continue: {cvtrain_command(f'resume={directory}')}\n" in printed
    assert not list(directory.glob("*/run.json"))
    assert resume(directory) == 0
    assert_equal(whole, directory)


def test_the_plan_of_a_sweep_without_a_place_for_temporary_files_ends_in_a_line(
    tmp_path, capsys, monkeypatch
):
    refuse_temporary_directories(monkeypatch, errno.ENOSPC)
    assert sweep(tmp_path / "sweep", *SHORT, "plan=true") == 1
    assert f"cvtrain: {NO_PLACE}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "number",
    [errno.EDQUOT, *(pytest.param(n, marks=pytest.mark.long) for n in (errno.EROFS, errno.EIO))],
)
def test_other_ways_in_which_a_disk_takes_no_more(tmp_path, capsys, disk, number):
    disk.takes, disk.error = 5, number
    directory = tmp_path / "sweep"
    assert sweep(directory, *SHORT) == 1
    printed = capsys.readouterr().err
    assert_told(printed, directory)
    assert os.strerror(number) in printed


def test_a_single_run_on_a_full_disk_ends_in_a_line(tmp_path, capsys, disk):
    disk.takes = 2
    directory = tmp_path / "run"
    assert main(["model.hidden=[4]", "max_steps=20", f"hydra.run.dir={directory}"]) == 1
    assert capsys.readouterr().err.count(MORE) == 1


def test_a_full_file_system(commands, whole, tmp_path):
    """The same with a file system of its own, where this process may make one."""
    directory = tmp_path / "disk"
    directory.mkdir()

    def mounted(how: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", how, "tmpfs", str(directory)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if not mounted("size=64k"):
        pytest.skip("this process may not mount a file system")
    try:
        target = directory / "sweep"
        done = commands.run(tmp_path, *SMALL, *SHORT, f"hydra.sweep.dir={target}", "-m")
        assert done.returncode == 1
        assert_told(done.stderr, target)
        assert "Traceback" not in done.stdout
        assert mounted("remount,size=64m")
        assert resume(target) == 0
        assert_equal(whole, target)
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def raised(error: BaseException) -> Callable[[], None]:
    def throw() -> None:
        raise error

    return throw


def test_a_file_that_is_not_of_the_sweep_says_nothing_of_its_storage(tmp_path):
    missing = FileNotFoundError(errno.ENOENT, "No such file", "/elsewhere/data.bin")
    assert storage_failure(missing, tmp_path) is None
    assert storage_failure(ValueError("no space left"), tmp_path) is None
    with pytest.raises(FileNotFoundError), translate_storage_errors(tmp_path):
        raised(missing)()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ENOENT])
def test_a_file_of_the_sweep_that_cannot_be_made_is_the_storages_affair(tmp_path, number):
    root = tmp_path / "gone" if number == errno.ENOENT else tmp_path
    error = OSError(number, os.strerror(number), str(root / "0" / "run.json"))
    with pytest.raises(StorageFailed, match=MORE), translate_storage_errors(root):
        raised(error)()


def test_a_directory_of_one_run_that_is_gone_says_nothing_of_the_others(tmp_path):
    missing = FileNotFoundError(errno.ENOENT, "No such file", str(tmp_path / "0" / "run.json"))
    assert storage_failure(missing, tmp_path) is None


def test_a_study_that_takes_no_more_is_the_storages_affair(tmp_path):
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 'study.db'}")

    with study._storage._backend.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    raised = pytest.raises(StorageFailed, match=rf"{MORE} \(database or disk is full\)")
    with raised, translate_storage_errors(tmp_path):
        for number in range(2000):
            study.set_user_attr(str(number), "x" * 1000)


def test_an_error_that_hides_a_full_disk_is_seen_through(tmp_path):
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("cannot finish the file")  # noqa: B904  # as a library would
    except RuntimeError as error:
        assert storage_failure(error, tmp_path) is not None
