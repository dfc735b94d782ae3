"""What a step costs, beside what it costs without cvtrain: ratios of runs made in turn.

python scripts/benchmark.py [steps] [override …]

    plain      a loop in plain PyTorch
    lightning  a LightningModule on a DataLoader, without any logging
    gathered   the same, its batches gathered by index as cvtrain does
    cvtrain    the single engine with the signals of the configuration

Each is timed for a short and a long run; a step is their difference, free of what a run costs once.
The rounds go through all four in turn, so that a busy machine slows them alike; the ratios are
medians over the rounds.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

import cvtrain
from cvtrain.config import Config
from cvtrain.data.batches import BatchOrder
from cvtrain.engine.train import StackJob
from cvtrain.engine.train import train as train_job
from cvtrain.point import Point
from cvtrain.task import build_model, build_objective, build_optimizer, load_dataset

ROUNDS = 7


class Bare(LightningModule):
    """The task of a configuration and nothing else."""

    def __init__(self, config: Config, gathered: bool) -> None:
        super().__init__()
        self.config, self.gathered = config, gathered
        self.data = load_dataset(config).train
        self.model = build_model(config, load_dataset(config))
        self.objective = build_objective(config)
        self.order = BatchOrder(len(self.data), config.batch_size, config.seed)

    def train_dataloader(self) -> object:
        """Batch numbers where they are gathered, else batches."""
        if self.gathered:
            return range(self.config.max_steps)
        samples = TensorDataset(self.data.inputs, self.data.targets)
        return DataLoader(samples, self.config.batch_size, shuffle=True)

    def training_step(self, batch: object, batch_idx: int) -> torch.Tensor:
        """The objective of a batch."""
        if isinstance(batch, int):
            indices = self.order.indices(batch)
            batch = self.data.inputs[indices], self.data.targets[indices]
        assert isinstance(batch, list | tuple)
        return self.objective.value(self.model(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The configured one."""
        return build_optimizer(self.config, self.model)


def plain(config: Config) -> None:
    """A loop in plain PyTorch."""
    bare = Bare(config, gathered=True)
    optimizer = bare.configure_optimizers()
    for step in range(config.max_steps):
        optimizer.zero_grad()
        torch.autograd.backward(bare.training_step(step, step))
        optimizer.step()


def lightning(config: Config, gathered: bool) -> None:
    """Lightning without logging."""
    trainer = Trainer(
        max_steps=config.max_steps,
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Bare(config, gathered))


def single(config: Config) -> None:
    """The single engine, into a temporary directory."""
    with tempfile.TemporaryDirectory() as root:
        train_job(StackJob((Point(0, config, (), "run"),), Path(root)))


ENGINES: dict[str, Callable[[Config], None]] = {
    "plain": plain,
    "lightning": lambda config: lightning(config, gathered=False),
    "gathered": lambda config: lightning(config, gathered=True),
    "cvtrain": single,
}


def main() -> None:
    """Print milliseconds per step and ratios."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    short, long = (
        cvtrain.configure(f"max_steps={count}", "signals.histograms_every=0", *sys.argv[2:])
        for count in (steps // 4, steps)
    )
    costs: dict[str, list[float]] = {name: [] for name in ENGINES}
    for _ in range(ROUNDS):
        for name, engine in ENGINES.items():
            spent = []
            for config in (short, long):
                began = perf_counter()
                engine(config)
                spent.append(perf_counter() - began)
            costs[name].append(1e3 * (spent[1] - spent[0]) / (long.max_steps - short.max_steps))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {steps} steps")
    for name, each in costs.items():
        ratios = (ours / theirs for ours, theirs in zip(costs["cvtrain"], each, strict=True))
        print(f"{name:10s} {median(each):7.3f} ms per step; cvtrain / {name} {median(ratios):.2f}")


if __name__ == "__main__":
    main()
