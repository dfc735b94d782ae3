"""A device is waited for at logged steps only, and that changes no number.

On a GPU the engines may not look into a tensor at every step. The CPU is made to train that way.
"""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cvtrain.training import module as training_module
from cvtrain.training import run_status
from cvtrain.training.module import TrainingModule
from tests.training.test_stack_bits import COMMON, same_files
from tests.training.trained_runs import configured, stacked, trained

WAITING = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.equal.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.is_nonzero.default,
}
"""What would make Python wait for a GPU, beside copies to the host."""

# Diverge at once, in the midst between logged steps, and never.
RATES = (1e30, 3.0, 2.0, 1.0, 0.01)
NETWORKS = {
    "linear": ("data=system_id", "data.samples=500", "model=linear", "objective=complex_mse"),
    "with_buffers": (
        "model=custom",
        "model._target_=normed_network.Normed",
        "trusted_modules=[normed_network]",
    ),
}
NORMED = """
import torch, torchcvnn.nn as c_nn
class Normed(torch.nn.Module):
    def __init__(self, in_features, out_features, dtype):
        super().__init__()
        self.hidden = torch.nn.Linear(in_features, 8, dtype=dtype)
        self.norm = c_nn.BatchNorm1d(8, cdtype=dtype)
        self.head = torch.nn.Linear(8, out_features, dtype=dtype)
    def forward(self, x):
        return self.head(self.norm(self.hidden(x.flatten(1))))
"""


@pytest.fixture(autouse=True)
def normed_network(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("network")
    (folder / "normed_network.py").write_text(NORMED)
    monkeypatch.syspath_prepend(str(folder))


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    def apply() -> None:
        for module in (run_status, training_module):
            monkeypatch.setattr(module, "free_to_read", lambda tensor: False)

    return apply


@pytest.mark.parametrize("network", NETWORKS)
def test_a_stack_that_reads_late_leaves_the_same_files(tmp_path, as_on_a_gpu, network):
    members = [(*COMMON, *NETWORKS[network], f"optimizer.lr={rate}") for rate in RATES]
    at_once = stacked(tmp_path, *members)
    as_on_a_gpu()
    late = stacked(tmp_path, *members)
    assert [run.record.diverged_at for run in late] == [run.record.diverged_at for run in at_once]
    assert [run.record.status for run in late] == [run.record.status for run in at_once]
    assert all(same_files(a, b) for a, b in zip(late, at_once, strict=True))
    if network == "linear":
        steps = [run.record.diverged_at for run in late]
        assert any(step is not None and step % 5 for step in steps), "between logged steps"
        assert steps[-1] is None


@pytest.mark.parametrize("rate", RATES[::2])
def test_a_single_run_that_reads_late_leaves_the_same_files(tmp_path, as_on_a_gpu, rate):
    chosen = (*COMMON, *NETWORKS["linear"], f"optimizer.lr={rate}")
    at_once = trained(tmp_path, *chosen)
    as_on_a_gpu()
    assert same_files(at_once, trained(tmp_path, *chosen))


@pytest.mark.parametrize(
    ("optimizer", "clip"),
    [
        *(("sgd", "none"), ("adam", "norm"), ("adamw", "modulus"), ("rmsprop", "split")),
        ("adagrad", "norm"),
    ],
)
def test_no_step_between_logged_ones_waits(tmp_path, as_on_a_gpu, monkeypatch, optimizer, clip):
    waited: dict[int, list[str]] = {}
    step = -1

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func in WAITING:
                waited.setdefault(step, []).append(str(func))
            return func(*args, **(kwargs or {}))

    begin = TrainingModule.on_train_batch_start

    def noting(self, batch, batch_idx):
        nonlocal step
        step = batch_idx
        begin(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "on_train_batch_start", noting)
    as_on_a_gpu()
    common = (*COMMON, "model.hidden=[8]", f"optimizer={optimizer}", f"clip={clip}")
    members = [
        (*common, f"seed={seed}", f"lr_octave={-seed}", f"objective.scale={1 / (1 + seed)}")
        for seed in range(3)
    ]
    assert configured(*members[0]).signals.scalars_every == 5
    with Watch():
        stacked(tmp_path, *members)
    waited.pop(-1, None)  # before training
    # The last one is followed by what ends a run.
    assert {at for at in waited if at % 5 and at != 17} == set(), waited
    assert waited, "logged steps look whether a run has diverged"
