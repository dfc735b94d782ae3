"""A command that has loaded torch can be forked: torch starts no threads, and has them later."""

from __future__ import annotations

import os

import pytest
import torch

from cvtrain.process import forkable


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


@pytest.mark.parametrize(("limit", "cores"), [("", 8), ("3", 3), ("64", 8), ("0", 8), ("2,1", 8)])
def test_cores_are_those_of_the_process_and_of_openmp(monkeypatch, limit, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert forkable.usable_cores() == cores
