"""Several processes with a share of every batch train what one process trains."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pandas as pd
import pytest
import torch
import torch.distributed as dist
from torch import nn

from cvtrain.cli.train import main
from cvtrain.process.errors import InputError
from cvtrain.runs.checkpoint import load_checkpoint
from cvtrain.runs.run_json import read_record
from cvtrain.training import data_parallel
from cvtrain.training.data_parallel import Shares, averaging_error
from cvtrain.training.module import TrainingModule
from tests.sweeps.small_sweep import resume

pytestmark = pytest.mark.usefixtures("blank_figures")

# Neither the batches nor the last one of an epoch can be shared out evenly.
RUN = ("model.hidden=[4]", "dtype=complex128", "batch_size=333", "max_steps=30")
SIGNALS = ("signals.scalars_every=1", "signals.validation_every=10", "signals.per_parameter=true")


@pytest.fixture
def group(tmp_path):
    """A process group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 's'}", rank=0, world_size=1)
    yield
    data_parallel.leave_group()


def test_two_processes_have_the_gradients_of_one_imaginary_parts_included(tmp_path):
    for devices in (1, 2):
        common = [*RUN, *SIGNALS, f"trainer.devices={devices}"]
        assert main([*common, "optimizer=adam", f"hydra.run.dir={tmp_path / str(devices)}"]) == 0
    one, two = (pd.read_csv(tmp_path / name / "metrics.csv") for name in ("1", "2"))
    assert list(one) == list(two)
    tags = [tag for tag in one if tag.startswith(("grad/", "optimizer_grad/", "weight/", "train/"))]
    assert (one["grad/imag_norm"].dropna() > 0.1 * one["grad/real_norm"].dropna()).all()
    assert len(tags) > 30
    for tag in tags:
        assert two[tag].to_numpy() == pytest.approx(
            one[tag].to_numpy(), rel=1e-9, abs=1e-12, nan_ok=True
        ), tag
    weights = [load_checkpoint(tmp_path / n / "checkpoints" / "last.ckpt")[0] for n in ("1", "2")]
    for name, weight in weights[0].items():
        assert torch.allclose(weights[1][name], weight, rtol=1e-9, atol=1e-12)
    # Nothing of the other process is left.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
    assert not dist.is_initialized()


@pytest.mark.long
def test_more_processes_than_samples_in_the_last_batch(tmp_path):
    # 1078 = 1075 + 3 samples: the last batch of an epoch has three of them.
    common = ["model.hidden=[4]", "dtype=complex128", "batch_size=43", "max_steps=27"]
    for devices in (1, 4):
        more = [f"trainer.devices={devices}", f"hydra.run.dir={tmp_path / str(devices)}"]
        assert main([*common, *more]) == 0
    final = [read_record(tmp_path / n / "run.json")["final"] for n in ("1", "4")]
    for tag in ("val/loss", "weight/norm", "grad/imag_norm"):
        assert final[1][tag] == pytest.approx(final[0][tag], rel=1e-9)


@pytest.mark.usefixtures("preloaded_processes")
def test_a_signal_stops_every_process_at_one_step_and_resume_goes_on(tmp_path, monkeypatch):
    sweep = ["model.hidden=[4]", "max_steps=60", "trainer.devices=2,1", "-m"]
    assert main([*sweep, f"hydra.sweep.dir={tmp_path / 'whole'}"]) == 0
    original = TrainingModule.after_update

    def interrupted(self, step, update):
        if step == 25 and dist.get_rank() == 0:  # the other process is not signalled
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, step, update)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "after_update", interrupted)
        assert main([*sweep, f"hydra.sweep.dir={tmp_path / 'stopped'}"]) == 143
    record = read_record(tmp_path / "stopped" / "0_trainer_devices=2" / "run.json")
    # The other process hears of it with the next batch.
    assert (record["status"], record["steps"]) == ("interrupted", 27)
    assert not (tmp_path / "stopped" / "1_trainer_devices=1").exists()
    assert resume(tmp_path / "stopped") == 0
    for name in ("0_trainer_devices=2", "1_trainer_devices=1"):
        texts = [
            (tmp_path / root / name / "metrics.csv").read_bytes() for root in ("whole", "stopped")
        ]
        assert texts[0] == texts[1]


class EndsItsReader:
    """Ends the process that unpickles it, as one that is killed while it starts."""

    def __reduce__(self):
        return os._exit, (3,)

    def __call__(self, directory):
        raise AssertionError("unpickling has ended the process")


def test_a_process_that_ends_before_it_joins_is_reported_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(data_parallel, "TIMEOUT", timedelta(seconds=20))  # else ten minutes
    with (
        pytest.raises(
            RuntimeError, match="process 2 of 2 ended with exit status 3 before training"
        ),
        data_parallel.processes_beside(2, False, EndsItsReader(), tmp_path, tmp_path / "none"),
    ):
        raise AssertionError("there is nobody to train with")
    assert not dist.is_initialized()


class LosesImaginaryParts(nn.Module):
    """What DistributedDataParallel of some versions did to complex gradients."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        for parameter in module.parameters():
            parameter.register_hook(lambda gradient: gradient.real.to(gradient.dtype))
        self.module = module

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.module(*inputs)


def test_the_average_of_this_build_of_torch_is_right(group):
    assert averaging_error(torch.device("cpu")) < 1e-6


def test_a_build_of_torch_that_loses_imaginary_parts_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(data_parallel, "DistributedDataParallel", LosesImaginaryParts)
    try:
        with pytest.raises(InputError, match=r"trainer\.devices=1: .* imaginary parts were lost"):
            data_parallel._join(0, 1, False, tmp_path / "store")
    finally:
        data_parallel.leave_group()


def test_a_share_has_the_value_of_the_batch_and_the_gradient_of_its_own(group):
    model = nn.Linear(3, 1, dtype=torch.complex128)
    inputs = torch.randn(5, 3, dtype=torch.complex128)

    def loss(network: nn.Module, samples: torch.Tensor) -> torch.Tensor:
        return network(inputs[samples]).abs().square().mean()

    (wanted,) = torch.autograd.grad(loss(model, torch.arange(5)), [model.weight])
    shares = Shares(model)
    value = shares.loss(torch.arange(5), loss)
    value.backward()
    assert torch.equal(model.weight.grad, wanted)
    assert value.item() == loss(model, torch.arange(5)).item()
    assert not shares.stop
