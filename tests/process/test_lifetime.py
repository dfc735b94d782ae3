"""Temporary directories of killed processes are removed by the next one, those of others stay."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cvtrain.process.lifetime import (
    PREFIX,
    remove_abandoned,
    scratch_directory,
    temporary_files_in_scratch,
)

HOLD = """
import sys, time
from cvtrain.process.lifetime import scratch_directory
with scratch_directory() as path:
    (path / "file").write_text("x")
    print(path, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def process(temporary: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=temporary.parent,
        env=os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(Path.cwd())},
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def first_line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def test_a_scratch_directory_is_removed_at_its_end(temporary):
    with scratch_directory() as path:
        (path / "below").mkdir()
        assert path.parent == temporary
    assert list(temporary.iterdir()) == []


def test_that_of_a_killed_process_goes_and_that_of_a_living_one_stays(temporary):
    with process(temporary, "-c", HOLD) as killed, process(temporary, "-c", HOLD) as living:
        abandoned, held = Path(first_line(killed)), Path(first_line(living))
        remove_abandoned()
        assert (abandoned / "file").exists()
        killed.kill()
        killed.wait()
        with scratch_directory():
            assert not abandoned.exists()
            assert (held / "file").exists()


@pytest.mark.parametrize("before", ["open", "flock"])
def test_one_that_another_process_removes_before_it_is_locked_is_made_anew(
    temporary, monkeypatch, before
):
    """Two commands that start together: the other may take a new directory for an abandoned one."""
    module, name = {"open": (os, "open"), "flock": (fcntl, "flock")}[before]
    original, made = getattr(module, name), []

    def after_the_other(*arguments, **keywords):
        if not made:
            made.extend(temporary.iterdir())
            made[0].rmdir()
        return original(*arguments, **keywords)

    monkeypatch.setattr(module, name, after_the_other)
    with scratch_directory() as path:
        assert len(made) == 1
        assert path.is_dir()
        assert path != made[0]


def test_what_is_made_by_tempfile_is_together_and_goes_with_it(temporary):
    with temporary_files_in_scratch():
        with scratch_directory() as inner:
            assert inner.parent.parent == temporary
        descriptor, name = tempfile.mkstemp()
        os.close(descriptor)
        assert Path(name).parent.parent == temporary
    assert list(temporary.iterdir()) == []
    assert tempfile.gettempdir() == str(temporary)


def test_without_a_folder_for_them_everything_is_as_without(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with temporary_files_in_scratch():
        assert tempfile.gettempdir() == str(tmp_path / "gone")


def test_strangers_files_of_such_a_name_are_left_alone(temporary):
    target = temporary / "mine"
    target.mkdir()
    (target / "file").touch()
    (temporary / "cvtrain-link").symlink_to(target)
    (temporary / "cvtrain-file").write_text("x")
    remove_abandoned()
    assert (target / "file").exists()
    assert (temporary / "cvtrain-file").exists()


def test_a_command_that_was_killed_leaves_nothing_to_the_one_after_the_next(commands, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    own = {"TMPDIR": str(temporary)}
    commands.run(
        tmp_path,
        *("model.hidden=[4]", "max_steps=100000", "seed=0,1", "-m", "hydra.sweep.dir=sweep"),
        killed_when=(tmp_path / "sweep" / "0_seed=0" / "run.json").exists,
        environment=own,
    )
    assert list(temporary.glob(f"{PREFIX}*"))
    assert commands.run(tmp_path, "optimizer.lr=-1", environment=own).returncode == 2
    assert not list(temporary.iterdir())
