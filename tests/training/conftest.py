"""Processes beside the first one of a run that have everything imported."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import forkserver, get_context

import pytest

from cvtrain.training import data_parallel


@pytest.fixture(scope="module")
def preloaded_processes() -> Iterator[None]:
    """Processes with a share of the batches are forks of one that has imported what they need.

    Importing torch and Lightning takes each of them longer than its training does.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["cvtrain.training.train"])
    forkserver.ensure_running()  # its socket is not in the temporary directory of a command
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_parallel, "get_context", lambda _: context)
        yield
    forkserver._forkserver._stop()  # it would use memory until all tests have ended
