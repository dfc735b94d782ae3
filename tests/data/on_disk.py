"""What the tests of data sets on disk share."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from cvtrain.data import Dataset


def everything(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Inputs and targets of all three splits."""
    splits = [dataset.train, dataset.validation, dataset.test]
    taken = [split.take(torch.arange(len(split))) for split in splits]
    return torch.cat([s.inputs for s in taken]), torch.cat([s.targets for s in taken])


def trained_by_both_engines(directory: Path, *given: str) -> None:
    """Train two seeds for four steps, in a stack and one by one; their weights must agree, and
    have moved."""
    import cvtrain
    from cvtrain.config.point import Point
    from cvtrain.runs.checkpoint import checkpoint_path, load_checkpoint
    from cvtrain.training.job import Job
    from cvtrain.training.task import build_model, load_dataset
    from cvtrain.training.train import train

    common = ("dtype=complex128", "max_steps=4", "batch_size=8", "signals.validation_every=2")
    points = tuple(
        Point(seed, cvtrain.configure(*given, *common, f"seed={seed}"), (), str(seed))
        for seed in (0, 1)
    )
    train(Job(points, directory / "stack", "stack"))
    for point in points:
        train(Job((point,), directory / "single"))
        stacked, single = (
            load_checkpoint(checkpoint_path(directory / engine / point.directory, "last"))[0]
            for engine in ("stack", "single")
        )
        initial = build_model(point.config, load_dataset(point.config))
        assert any(
            not torch.equal(single[name], weight) for name, weight in initial.state_dict().items()
        )
        assert stacked.keys() == single.keys()
        for name, weight in single.items():
            torch.testing.assert_close(stacked[name], weight, rtol=1e-9, atol=1e-11)
