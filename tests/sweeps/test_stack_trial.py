"""What a trial of a small stack tells of the network, and what it does not."""

from __future__ import annotations

import errno
import re

import pytest
import torch

from cvtrain.config.point import Point
from cvtrain.process.errors import RunFailed
from cvtrain.sweeps import memory_probe as stack_trial
from cvtrain.sweeps.packing import describe, pack
from cvtrain.sweeps.plan import Plan
from cvtrain.training.single import Single
from cvtrain.training.stack import Stack
from tests.training.trained_runs import composer

SMALL = ("model.hidden=[8]", "max_steps=10", "signals.histograms_every=0")


def points(*overrides: str) -> tuple[Point, ...]:
    return Plan.compose(composer(), [*SMALL, *overrides]).points


COUNTING = """
import torch
class Counting(torch.nn.Linear):
    def __init__(self, in_features, out_features, dtype):
        super().__init__(in_features, out_features, dtype=dtype)
        self.norm = torch.nn.Module()
        self.norm.steps = 0
        self.register_buffer("mean", torch.zeros(in_features, dtype=dtype))
    def forward(self, x):
        x = x.flatten(1)
        if {when}:
            {change}
        return super().forward(x)
"""


@pytest.mark.parametrize(
    ("when", "change", "reason"),
    [
        ("True", "self.norm.steps += 1", "its forward changes Counting.norm.steps"),
        ("self.training", "self.norm.steps += 1", "its forward changes Counting.norm.steps"),
        ("not self.training", "self.norm.steps += 1", "its forward changes Counting.norm.steps in"),
        ("self.training", "self.mean = self.mean + x.detach().mean(0)", None),
        ("not self.training", "self.mean = self.mean + x.mean(0)", "its forward replaces mean in"),
        ("not self.training", "self.mean.add_(1)", "its forward changes Counting.mean in"),
    ],
)
def test_what_a_forward_leaves_behind_is_kept_or_said(tmp_path, monkeypatch, when, change, reason):
    name = f"counting_network_{abs(hash((when, change)))}"
    (tmp_path / f"{name}.py").write_text(COUNTING.format(when=when, change=change))
    monkeypatch.syspath_prepend(str(tmp_path))
    network = ("model=custom", f"model._target_={name}.Counting", f"trusted_modules=[{name}]")
    packs = pack(Plan.compose(composer(), [*SMALL[1:], *network, "seed=0,1"]).points, None)
    (line,) = describe(packs)
    if reason is None:
        assert line == "2 runs in 1 stack of 2"
    else:
        assert line.startswith(f"2 runs one by one: {reason}")


MACHINE = {
    "threads": RuntimeError("can't start new thread"),
    "a reader": RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."),
    "a GPU": torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    "shared memory": RuntimeError(
        "unable to write to file </torch_7_8>: No space left on device (28)"
    ),
    "files": OSError(errno.EMFILE, "Too many open files", "/x"),
    "a server": TimeoutError("timed out"),
}


@pytest.mark.parametrize("error", MACHINE.values(), ids=MACHINE.keys())
@pytest.mark.parametrize("hidden", [False, True])
def test_what_fails_for_a_reason_of_the_machine_says_nothing_of_the_network(
    monkeypatch, error, hidden
):
    def fail(*_):
        if not hidden:
            raise error
        try:
            raise error
        except Exception:
            raise ValueError("the batch cannot be made")  # noqa: B904  # as a library would

    monkeypatch.setattr(Stack, "batch_losses", fail)
    with pytest.raises(RunFailed, match=f"reason of this machine: {re.escape(told_of(error))}"):
        pack(points("seed=0,1"), None)


def told_of(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        torch.AcceleratorError("CUDA error: out of memory"),
    ],
)
def test_a_stack_too_large_for_the_memory_is_no_refusal_of_the_network(monkeypatch, error):
    def fail(*_):
        raise error

    for engine in (Single, Stack):
        monkeypatch.setattr(engine, "batch_losses", fail)
    (line,) = describe(pack(points("seed=0,1"), None))
    assert "2 runs one by one: a stack of 2 takes more memory than there is" in line


def test_a_measurement_that_fails_says_nothing_of_the_network(monkeypatch):
    def fail(*_):
        raise RuntimeError("another profiler is at work")

    monkeypatch.setattr(stack_trial, "_peak_on_host", fail)
    with pytest.raises(RunFailed, match="trying out a stack failed: another profiler is at work"):
        pack(points("seed=0,1"), None)
