"""Small modules that a monitor watches, and what it logs of them."""

from __future__ import annotations

import logging
import warnings

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


class ByHand(Somebodys):
    """Manual optimization of the same; `clip` is called between backward and step."""

    clip = None
    backwards = 1
    steps = 1

    def __init__(self, lr: float = 0.25) -> None:
        super().__init__(lr)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        for _ in range(self.steps):
            optimizer.zero_grad()
            for _ in range(self.backwards):
                self.backward_of(super().training_step(batch, batch_idx))
            if self.clip is not None:
                self.clip(optimizer)
            optimizer.step()

    def backward_of(self, loss):
        self.manual_backward(loss)
