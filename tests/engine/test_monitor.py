"""GradientMonitor in a LightningModule that knows nothing of cvtrain."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from cvtrain import GradientMonitor


class Somebodys(LightningModule):
    """w x ≈ y with x = 1+1j, y = 1, w = 1: w.grad is 2+2j."""

    def __init__(self, lr: float = 0.25) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False, dtype=torch.complex128)
        nn.init.ones_(self.layer.weight)
        self.lr = lr

    def training_step(self, batch, batch_idx):
        error = self.layer(torch.tensor([[1 + 1j]], dtype=torch.complex128)) - 1
        return (error * error.conj()).real.mean()

    def train_dataloader(self):
        return range(4)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def monitored(tmp_path, module=None, every_n_steps=2, **trainer):
    logger = CSVLogger(tmp_path)
    logged = []
    logger.log_metrics = lambda metrics, step: logged.append((step, metrics))
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Trainer(
            max_epochs=1,
            logger=logger,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
            callbacks=[GradientMonitor(every_n_steps)],
            **trainer,
        ).fit(module or Somebodys())
    return logged


def test_the_gradient_is_autograds_and_the_handed_one_is_clipped(tmp_path):
    logged = monitored(tmp_path, gradient_clip_val=1.0)
    assert [step for step, _ in logged] == [0, 2]
    first = logged[0][1]
    assert first["grad/layer.weight/real[0,0]"] == 2.0
    assert first["grad/layer.weight/imag[0,0]"] == 2.0
    assert first["grad/norm"] == pytest.approx(8**0.5)
    assert first["handed/norm"] == pytest.approx(1.0, rel=1e-5)
    assert first["update/norm"] == pytest.approx(0.25, rel=1e-5)


def test_without_clipping_gradient_and_handed_gradient_agree(tmp_path):
    for _, metrics in monitored(tmp_path):
        assert metrics["handed/norm"] == metrics["grad/norm"]
        assert metrics["update/norm"] == pytest.approx(0.25 * metrics["grad/norm"])


class Searching(Somebodys):
    """L-BFGS, which evaluates several times within a step."""

    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=4, history_size=4)


def test_of_many_evaluations_in_a_step_the_first_is_logged_and_the_update_is_all_of_it(tmp_path):
    weight = torch.ones(1, 1, dtype=torch.complex128, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], lr=0.1, max_iter=4, history_size=4)
    evaluated = []

    def closure():
        optimizer.zero_grad()
        objective = (weight * (1 + 1j) - 1).abs().square().sum()
        torch.autograd.backward(objective)
        evaluated.append(weight.grad.abs().item())
        return objective

    rows = [metrics for _, metrics in monitored(tmp_path, Searching(), every_n_steps=1)]
    assert len(rows) == 4
    for row in rows:
        before = weight.detach().clone()
        evaluated.clear()
        optimizer.step(closure)
        assert len(evaluated) > 1
        assert row["weight/norm"] == pytest.approx(before.abs().item(), rel=1e-12)
        assert row["grad/norm"] == pytest.approx(evaluated[0], rel=1e-12)
        assert row["handed/norm"] == row["grad/norm"]
        assert row["update/norm"] == pytest.approx((weight - before).abs().item(), rel=1e-9)


class Alternating(LightningModule):
    """Two optimizers that step in every batch, by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.first = nn.Linear(1, 1, bias=False, dtype=torch.complex128)
        self.second = nn.Linear(1, 1, bias=False, dtype=torch.complex128)
        nn.init.ones_(self.first.weight)
        nn.init.ones_(self.second.weight)

    def training_step(self, batch, batch_idx):
        x = torch.tensor([[1 + 1j]], dtype=torch.complex128)
        for layer, optimizer in zip((self.first, self.second), self.optimizers(), strict=True):
            optimizer.zero_grad()
            error = layer(x) - 1
            self.manual_backward((error * error.conj()).real.mean())
            optimizer.step()

    def train_dataloader(self):
        return range(6)

    def configure_optimizers(self):
        layers = (self.first, 0.25), (self.second, 0.125)
        return [torch.optim.SGD(layer.parameters(), lr=lr) for layer, lr in layers]


@pytest.mark.parametrize(
    ("every", "steps"), [(1, [0, 2, 4, 6, 8, 10]), (2, [0, 2, 4, 6, 8, 10]), (6, [0, 6])]
)
def test_a_row_has_what_each_of_two_optimizers_did(tmp_path, every, steps):
    logged = monitored(tmp_path, Alternating(), every_n_steps=every)
    assert [step for step, _ in logged] == steps
    first = logged[0][1]
    assert first["grad/norm"] == pytest.approx(4.0)  # √(8 + 8)
    assert first["handed/norm"] == pytest.approx(4.0)
    assert first["update/norm"] == pytest.approx((8 * (0.25**2 + 0.125**2)) ** 0.5)


def test_a_cadence_of_zero_is_refused():
    with pytest.raises(ValueError, match="every_n_steps=0"):
        GradientMonitor(every_n_steps=0)
