"""A machine that fails while a run is resumed costs nothing of what was trained."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cvtrain.process.errors import StorageFailed
from cvtrain.training import single as single_engine
from cvtrain.training import stack as stack_engine
from cvtrain.training.job import Job
from cvtrain.training.train import train
from tests.training.test_continuation import assert_same, began, points, stopped


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ESTALE])
def test_a_checkpoint_that_the_machine_does_not_give_is_kept(tmp_path, monkeypatch, number):
    (point,) = points(("optimizer=adam",))
    whole, parted = (Job((point,), tmp_path / name) for name in "ab")
    train(whole)
    stopped(parted, 10)

    def refuse(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patch:
        patch.setattr("cvtrain.runs.checkpoint.zipfile.ZipFile", refuse)
        with pytest.raises(StorageFailed, match=os.strerror(number)):
            train(parted)
    _, first = began(parted)
    assert first == 11
    assert_same(whole.root / point.directory, parted.root / point.directory)


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "Too many open files")])
def test_a_machine_that_fails_a_resumed_run_does_not_make_it_begin_again(
    tmp_path, monkeypatch, caplog, error
):
    (point,) = points(("optimizer=adam",))
    job = Job((point,), tmp_path)
    stopped(job, 10)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(single_engine.Single, "batch_losses", fail)
    with pytest.raises(type(error)):
        train(job)
    assert "begins again" not in caplog.text


def test_a_stack_goes_on_in_halves_where_memory_runs_out_as_it_is_restored(tmp_path, monkeypatch):
    members = [("optimizer=adam", f"seed={seed}") for seed in range(2)]
    whole, parted = (Job(points(*members), tmp_path / name, "stack", multiple=1) for name in "ab")
    train(whole)
    stopped(parted, 10)
    restore = stack_engine.Stack.load_engine_state_dict

    def without_memory(stack: stack_engine.Stack, states: list[dict], step: int) -> None:
        if stack.members > 1:
            raise MemoryError
        restore(stack, states, step)

    monkeypatch.setattr(stack_engine.Stack, "load_engine_state_dict", without_memory)
    steps: list[int] = []
    train(parted, steps.append)
    assert steps[0] == 11
