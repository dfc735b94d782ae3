"""Short trainings for the tests: a configuration from overrides, trained into a directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from torch import Tensor

from cvtrain.config.compose import Composer, configuration_folder
from cvtrain.config.point import Point
from cvtrain.runs.checkpoint import load_checkpoint
from cvtrain.runs.run_json import RunRecord
from cvtrain.sweeps.plan import single_point
from cvtrain.training.job import Job
from cvtrain.training.train import train


@dataclass(frozen=True)
class Trained:
    """A finished run: its record, its directory, and what is in it."""

    record: RunRecord
    directory: Path

    @property
    def weights(self) -> dict[str, Tensor]:
        return load_checkpoint(self.directory / "checkpoints" / "last.ckpt")[0]

    @property
    def rows(self) -> pd.DataFrame:
        return pd.read_csv(self.directory / "metrics.csv").set_index("step")


@cache
def composer() -> Composer:
    version.setbase("1.3")
    return Composer(ConfigLoaderImpl(create_config_search_path(configuration_folder())))


def configured(*overrides: str) -> Any:
    return single_point(composer(), overrides).config


def trained(root: Path, *overrides: str) -> Trained:
    """Train one run into a new directory under `root`."""
    name = f"run{len(list(root.iterdir()))}"
    (record,) = train(Job((Point(0, configured(*overrides), overrides, name),), root))
    return Trained(record, root / name)


def stacked(root: Path, *members: Sequence[str]) -> list[Trained]:
    """Train the members as one stack into new directories under `root`."""
    first = len(list(root.iterdir()))
    points = tuple(
        Point(number, configured(*overrides), tuple(overrides), f"run{first + number}")
        for number, overrides in enumerate(members)
    )
    records = train(Job(points, root, "stack"))
    return [Trained(r, root / p.directory) for r, p in zip(records, points, strict=True)]


def together_and_alone(root: Path, *members: Sequence[str]) -> Iterator[tuple[Trained, Trained]]:
    """Each member as it is trained in one stack, and as a single run."""
    for together, overrides in zip(stacked(root, *members), members, strict=True):
        yield together, trained(root, *overrides)


def largest_difference(left: Trained, right: Trained) -> float:
    """Of any weight, relative to the largest entry of its tensor."""
    a, b = left.weights, right.weights
    assert list(a) == list(b)
    return max(float((a[n] - b[n]).abs().max() / b[n].abs().max().clamp(min=1e-30)) for n in a)


def equal(left: Trained, right: Trained) -> bool:
    """Whether two runs ended with the same bits in every weight."""
    a, b = left.weights, right.weights
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
