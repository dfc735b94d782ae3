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


def monitored(tmp_path, **trainer):
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
            callbacks=[GradientMonitor(every_n_steps=2)],
            **trainer,
        ).fit(Somebodys())
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


def test_a_cadence_of_zero_is_refused():
    with pytest.raises(ValueError, match="every_n_steps=0"):
        GradientMonitor(every_n_steps=0)
