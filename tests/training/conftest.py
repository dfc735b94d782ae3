"""Processes of one run that need not import everything anew."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from multiprocessing import get_context

import pytest
import torch

from cvtrain.training import data_parallel


@pytest.fixture
def forked_beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The other processes of a run are forks of this one; test_data_parallel.py starts one anew."""
    monkeypatch.setattr(data_parallel, "get_context", lambda _: get_context("fork"))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # one for each: a fork has none of its parent's
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)  # from Python 3.12 on
        yield
    torch.set_num_threads(threads)
