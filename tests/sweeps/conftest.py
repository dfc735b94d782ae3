"""What tests of executors compare with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.forked_command import ForkedCommands
from tests.sweeps.small_sweep import LONG, SMALL


@pytest.fixture(scope="module", autouse=True)
def figures_are_blank(blank_figures):
    """What is told of sweeps here is told without them."""


@pytest.fixture(scope="session")
def whole(commands: ForkedCommands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("executors") / "whole"
    done = commands.run(directory.parent, *SMALL, *LONG, f"hydra.sweep.dir={directory}", "-m")
    assert done.returncode == 0, done.stderr
    return directory
