"""Networks of a user's own, and a short training of one, for the tests of `StackedModule`."""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from cvtrain.gradients.convention import Convention
from cvtrain.models import MixedMlp

RATES = torch.tensor([0.001, 0.01, 0.03], dtype=torch.float64)
COMPLEX = torch.complex128


class Own(LightningModule):
    """A user's module, with a step of its own for when it is trained alone."""

    def __init__(self, seed: int, rate: float = 0.0, convention: Convention | None = None) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.net = MixedMlp(6, 3, hidden=(5,), dtype=COMPLEX)
        self.rate, self.convention = rate, convention

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def on_before_optimizer_step(self, optimizer):
        if self.convention is not None:
            for p in self.parameters():
                p.grad = self.convention.apply(p.grad)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.rate)


def loader() -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(48, 6, dtype=COMPLEX, generator=generator)
    return DataLoader(TensorDataset(inputs, torch.arange(48) % 3), batch_size=16)


def fit(module: LightningModule, tmp_path, resume=None, **more) -> Trainer:
    trainer = Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **{"logger": False, "max_epochs": 4, **more},
    )
    trainer.fit(module, loader(), ckpt_path=resume)
    return trainer
