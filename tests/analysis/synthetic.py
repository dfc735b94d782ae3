"""Runs that were never trained: configurations, run directories and tables made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from cvtrain.analysis.load import Sweep, flattened
from cvtrain.runs.journal import Journal
from cvtrain.runs.metrics_csv import MetricsFile
from cvtrain.runs.run_json import RunRecord

Row = dict[str, Any]


def configuration(**changed: Any) -> dict[str, Any]:
    """Plain values as in conf/; `optimizer__lr=0.5` changes `optimizer.lr`."""
    config: dict[str, Any] = {
        "seed": 0,
        "max_steps": 20,
        "batch_size": 64,
        "lr_octave": 0.0,
        "init_jitter": 0.0,
        "null_arm": True,
        "goal": {"metric": None, "value": None},
        "data": {"_target_": "cvtrain.data.digits_fft.digits_fft", "seed": 0},
        "model": {"_target_": "cvtrain.models.mlp.Mlp", "hidden": [8]},
        "objective": {"loss": "cross_entropy", "scale": 1.0},
        "convention": {"scale": 1.0, "conjugate": False},
        "clip": {"kind": "none"},
        "report": {"metric": None},
        "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.125, "momentum": 0.0},
    }
    for key, value in changed.items():
        section, dotted, name = key.partition("__")
        if dotted:
            config[section][name] = value
        else:
            config[section] = value
    return config


def write_run(
    directory: Path,
    status: str = "finished",
    final: Mapping[str, float] | None = None,
    rows: Sequence[tuple[int, Mapping[str, float]]] = (),
    **config: Any,
) -> None:
    """A run directory, by the writers that write real ones."""
    directory.mkdir(parents=True)
    RunRecord(
        id="0123456789abcdef",
        status=status,
        engine="single",
        stack_size=1,
        started="2026-01-01T00:00:00+00:00",
        threads=1,
        versions={},
        config=configuration(**config),
        final=dict(final or {}),
    ).write(directory)
    if rows:
        tags = dict.fromkeys(tag for _, values in rows for tag in values)
        with MetricsFile(directory, list(tags)) as table:
            for step, values in rows:
                table.write(step, values)


def describe_sweep(root: Path, *directories: str) -> None:
    """sweep.json, naming the run directories in order."""
    points = [
        SimpleNamespace(number=number, id=f"{number:016x}", directory=name, overrides=())
        for number, name in enumerate(directories)
    ]
    root.mkdir(parents=True, exist_ok=True)
    Journal(root).describe_sweep(points, None, ())


def row(
    loss: float,
    accuracy: float = 0.9,
    status: str = "finished",
    steps_to_target: float = 10.0,
    **config: Any,
) -> Row:
    """One row of `Sweep.runs`: a run that began at a loss of 2 and ended at `loss`."""
    measured = {
        "val/loss": loss,
        "test/loss": loss,
        "test/accuracy": accuracy,
        "convergence/initial/loss": 2.0,
        "convergence/steps_to_target": steps_to_target,
    }
    return {"status": status, **dict(flattened(configuration(**config))), **measured}


def sweep_of(rows: Sequence[Row]) -> Sweep:
    """A loaded sweep with these runs."""
    numbered = [
        {"run": n, "directory": str(n), "look": 0, **content} for n, content in enumerate(rows)
    ]
    keys: dict[str, None] = {}
    for content in rows:
        own = ("status", "look")
        keys |= dict.fromkeys(key for key in content if "/" not in key and key not in own)
    return Sweep(Path("nowhere"), pd.DataFrame(numbered), tuple(keys))


HALVED = {"objective__scale": 0.5}
WIRTINGER = {"convention__scale": 0.5}
UNCONJUGATED = {"convention__conjugate": True}
JITTERED = {"init_jitter": 1e-6}
