"""A command that has loaded torch can be forked: torch starts no threads, and has them later."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest
import torch

from cvtrain.process import forkable
from cvtrain.process.errors import InputError


@pytest.fixture
def command(monkeypatch):
    """This process as one that began as a command; its threads are those of torch afterwards."""
    monkeypatch.setattr(forkable, "_fresh", True)
    yield
    forkable.use_all_threads()


def test_a_program_that_has_loaded_torch_is_not_forked():
    forkable.begin_command()
    assert not forkable.become_forkable()
    assert not forkable.is_forkable()


def test_torch_has_one_thread_until_it_may_have_all(command):
    before = torch.get_num_threads()
    assert forkable.become_forkable()
    assert forkable.is_forkable()
    assert torch.get_num_threads() == 1
    assert forkable.become_forkable()
    assert forkable.usable_threads() == before
    forkable.use_all_threads()
    assert torch.get_num_threads() == before == forkable.usable_threads()
    assert not forkable.is_forkable()


def test_forks_share_the_threads_that_torch_had_before_it_was_limited(monkeypatch):
    monkeypatch.setattr(forkable, "_threads", 6)
    assert forkable.usable_threads() == 6 != torch.get_num_threads()


@pytest.mark.parametrize(("limit", "cores"), [("", 8), ("3", 3), ("64", 8), ("0", 8), ("2,1", 8)])
def test_cores_are_those_of_the_process_and_of_openmp(monkeypatch, limit, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert forkable.usable_cores() == cores


@pytest.mark.parametrize("forked", [True, False])
def test_work_is_done_beside_other_work_in_a_fork_where_there_may_be_one(monkeypatch, forked):
    monkeypatch.setattr(forkable, "_threads", 2 if forked else None)
    monkeypatch.setattr(forkable, "usable_cores", lambda: 2)
    with forkable.beside(os.getpid) as result:
        assert (result() != os.getpid()) is forked


def test_what_fails_in_a_fork_fails_here_and_a_fork_that_is_killed_costs_nothing(monkeypatch):
    monkeypatch.setattr(forkable, "_threads", 2)
    monkeypatch.setattr(forkable, "usable_cores", lambda: 2)
    here = os.getpid()

    def killed_if_forked() -> str:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    with forkable.beside(killed_if_forked) as result:
        assert result() == "done"
    with pytest.raises(ZeroDivisionError), forkable.beside(lambda: 1 / 0) as result:
        result()


def test_a_fork_whose_result_nobody_waits_for_ends(monkeypatch):
    monkeypatch.setattr(forkable, "_threads", 2)
    monkeypatch.setattr(forkable, "usable_cores", lambda: 2)
    with pytest.raises(InputError), forkable.beside(lambda: time.sleep(600)):
        (fork,) = multiprocessing.active_children()
        raise InputError("x")
    assert not fork.is_alive()
