"""Whole commands: what the default sweep spends its time on, and how sweeps grow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, time
from typing import Any
from unittest.mock import patch

import torch
from benchmark_peers import plain

from cvtrain.config.point import Point
from cvtrain.config.schema import Config
from cvtrain.runs.writer import RunWriter
from cvtrain.training.job import Job
from cvtrain.training.stack import Stack
from cvtrain.training.train import train

PROFILED_RUNS = 128
"""Of the sweep, which are trained once more in this process to see what training consists of."""


def time_sweep(*overrides: str) -> dict[str, float]:
    """Seconds of `python -m cvtrain +experiment=sweep …`, from start to summary, by either
    launcher, and of a plain loop over the same runs that records nothing; and the parts of the
    first."""
    seconds, parts = {}, {}
    with tempfile.TemporaryDirectory() as root:
        for launcher, how in (("stacked", "as stacks"), ("basic", "one by one")):
            folder = Path(root) / launcher
            began = time()
            run_command(f"output={folder}", f"hydra/launcher={launcher}", *overrides)
            seconds[how] = time() - began
            if launcher == "stacked":
                parts = phases(folder, began, began + seconds[how])
        configs = configurations(folder)
    began = perf_counter()
    for config in configs:
        plain(config)
    seconds["a plain loop, measuring nothing"] = perf_counter() - began
    named = {f"{how}, {len(configs)} runs": spent for how, spent in seconds.items()}
    alike = [c for c in configs if c.optimizer.target == configs[0].optimizer.target]
    return named | parts | shares_of_training(alike[:PROFILED_RUNS], parts["  training"])


def run_command(*overrides: str) -> None:
    """Run the default sweep.

    Raises:
        CalledProcessError: it failed.
    """
    command = [sys.executable, "-m", "cvtrain", "+experiment=sweep", *overrides]
    subprocess.run(command, check=True, capture_output=True)


def configurations(folder: Path) -> list[Config]:
    """Those of all runs below a folder, by number."""
    records = [json.loads(path.read_text()) for path in sorted(folder.rglob("run.json"))]
    return [Config.model_validate(record["config"]) for record in records]


def phases(folder: Path, began: float, ended: float) -> dict[str, float]:
    """Seconds of the parts of a sweep's command, told apart by the times of its files.

    Args:
        folder: of the sweep.
        began, ended: the command, in seconds since 1970.
    """
    (announced,) = folder.rglob("multirun.yaml")
    checked = announced.stat().st_mtime
    first = min(path.stat().st_mtime for path in folder.rglob(".hydra/config.yaml"))
    last = max(path.stat().st_mtime for path in folder.rglob("run.json"))
    return {
        "  start: imports, composing and checking points": checked - began,
        "  plan: stacks and what memory they take": first - checked,
        "  training": last - first,
        "  report": ended - last,
    }


def shares_of_training(configs: Sequence[Config], seconds: float) -> dict[str, float]:
    """What of so many seconds of training goes into validation and recording, by the shares that
    they have of one stack, trained by one thread of this process."""
    threads = torch.get_num_threads()
    spent = dict.fromkeys(("validation", "recording"), 0.0)
    timed = [
        (Stack, "evaluate", "validation"),
        *((RunWriter, name, "recording") for name in ("__init__", "write", "close")),
        *((RunWriter, name, "recording") for name in ("recorded", "declare")),
    ]
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as root, ExitStack() as patches:
            for owner, name, part in timed:
                patches.enter_context(_timed(owner, name, spent, part))
            points = tuple(Point(k, config, (), f"run{k}") for k, config in enumerate(configs))
            began = perf_counter()
            train(Job(points, Path(root), "stack"))
            whole = perf_counter() - began
    finally:
        torch.set_num_threads(threads)
    return {f"    of which {part}": seconds * cost / whole for part, cost in spent.items()}


@contextmanager
def _timed(owner: type, name: str, spent: dict[str, float], part: str) -> Iterator[None]:
    """Inside, the time of a method counts as that part's."""
    method: Callable[..., Any] = getattr(owner, name)

    def timed(*args: Any, **options: Any) -> Any:
        began = perf_counter()
        try:
            return method(*args, **options)
        finally:
            spent[part] += perf_counter() - began

    with patch.object(owner, name, timed):
        yield


SMALL = ("data=system_id", "model=linear", "objective=complex_mse", "max_steps=20")


def growth(points: Sequence[int]) -> Iterator[dict[str, float]]:
    """Seconds and the most memory, in MB, of sweeps of so many runs of `SMALL`, without event files
    for TensorBoard."""
    for count in points:
        with tempfile.TemporaryDirectory() as root:
            command = [sys.executable, "-m", "cvtrain", *SMALL, f"seed=range(0,{count})", "-m"]
            command += ["signals.tensorboard=false", f"output={root}"]
            began = perf_counter()
            with (Path(root) / "out").open("w") as out:
                started = subprocess.Popen(command, stdout=out, stderr=out)
                _, status, used = os.wait4(started.pid, 0)
            started.returncode = os.waitstatus_to_exitcode(status)
            if started.returncode:
                raise RuntimeError((Path(root) / "out").read_text())
            spent = perf_counter() - began
            yield {"points": count, "seconds": spent, "megabytes": used.ru_maxrss / 1024}
