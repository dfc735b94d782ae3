"""What tests of executors compare with."""

from __future__ import annotations

import pytest

from tests.sweeps.small_sweep import start


@pytest.fixture(scope="module", autouse=True)
def figures_are_blank(blank_figures):
    """What is told of sweeps here is told without them."""


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("executors") / "whole"
    with start(directory, threads="1") as running:
        told = running.communicate()[1]
    assert running.returncode == 0, told
    return directory
