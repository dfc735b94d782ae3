"""The same task without cvtrain, for comparison by scripts/benchmark.py."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, TensorDataset

from cvtrain.config.schema import Config
from cvtrain.data.batches import BatchOrder
from cvtrain.training.optimizer import build_optimizer
from cvtrain.training.task import Task


class Bare(LightningModule):
    """The task of a configuration as a minimal LightningModule."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        task = Task(config)
        self.data, self.model, self.objective = task.dataset.train, task.model(), task.objective

    def train_dataloader(self) -> object:
        """Shuffled batches, as is usual."""
        samples = TensorDataset(self.data.inputs, self.data.targets)
        return DataLoader(samples, self.config.batch_size, shuffle=True)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """The objective of a batch."""
        return self.objective.value(self.model(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The configured optimizer."""
        return build_optimizer(self.config, self.model)


class Logging(Bare):
    """The same with 14 norms of gradients logged at every step."""

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Norms of real and imaginary parts, by parameter and in total, by `self.log`."""
        squares = {}
        for name, p in self.model.named_parameters():
            if p.grad is not None and name.endswith("weight"):
                squares[f"{name}/real"] = p.grad.real.square().sum()
                squares[f"{name}/imag"] = p.grad.imag.square().sum()
                squares[name] = squares[f"{name}/real"] + squares[f"{name}/imag"]
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        for part in ("real", "imag"):
            complex_ones = (g for g in gradients if g.is_complex())
            squares[part] = sum(getattr(g, part).square().sum() for g in complex_ones)
        squares["all"] = sum(g.abs().square().sum() for g in gradients)
        squares["largest"] = max(g.abs().max() for g in gradients) ** 2
        squares["smallest"] = min(g.abs().min() for g in gradients) ** 2
        for name, square in squares.items():
            self.log(f"grad/{name}", square.sqrt())


def plain(config: Config) -> None:
    """A loop in plain PyTorch."""
    bare = Bare(config)
    order = BatchOrder(len(bare.data), config.batch_size, config.seed)
    optimizer = bare.configure_optimizers()
    for step in range(config.max_steps):
        drawn = order.indices(step)
        optimizer.zero_grad()
        batch = bare.data.inputs[drawn], bare.data.targets[drawn]
        torch.autograd.backward(bare.training_step(batch, step))
        optimizer.step()


def lightning(config: Config, logging: bool) -> None:
    """Lightning without logging, or with 14 scalars logged at every step."""
    with tempfile.TemporaryDirectory() as root:
        logger = TensorBoardLogger(root) if logging else False
        _fit(Logging(config) if logging else Bare(config), logger)


def _fit(module: Bare, logger: TensorBoardLogger | bool) -> None:
    trainer = Trainer(
        max_steps=module.config.max_steps,
        max_epochs=-1,
        accelerator="cpu",
        logger=logger,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module)


def jax_stack(configs: list[Config]) -> None:
    """SGD of all members by JAX, compiled once per shape, on whole random batches."""
    weights, rates, drawn, (inputs, targets) = _arrays(configs)
    compiled = _compiled(weights, len(configs), configs[0].max_steps)
    for leaf in compiled(weights, rates, drawn, inputs, targets):
        leaf.block_until_ready()


def _arrays(configs: list[Config]) -> tuple[Any, Any, Any, tuple[Any, Any]]:
    task = Task(configs[0])
    models = {config.seed: task.model(config) for config in configs}
    names = dict(models[configs[0].seed].named_parameters())
    weights = [
        np.stack([models[c.seed].get_parameter(name).detach().numpy() for c in configs])
        for name in names
    ]
    rates = np.array([config.optimizer.lr for config in configs], dtype=np.float32)
    shape = (configs[0].max_steps, len(configs), configs[0].batch_size)
    drawn = np.random.default_rng(0).integers(len(task.dataset.train), size=shape)
    data = task.dataset.train.inputs.flatten(1).numpy(), task.dataset.train.targets.numpy()
    return weights, rates, drawn, data


_COMPILED: dict[tuple[int, int], Any] = {}


def _compiled(weights: list[Any], size: int, steps: int) -> Any:
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        command = ".venv/bin/python -m pip install -e '.[peers]'"
        raise SystemExit(f"--peers: needs jax: {command}") from None
    if (size, steps) in _COMPILED:
        return _COMPILED[size, steps]

    def modrelu(z: Any, b: Any) -> Any:
        modulus = jnp.abs(z)
        return jax.nn.relu(modulus + b) * z / jnp.where(modulus > 0, modulus, 1)

    def loss(w: Any, x: Any, y: Any) -> Any:
        h = modrelu(x @ w[0].T + w[1], w[2])
        h = modrelu(h @ w[3].T + w[4], w[5])
        return -jnp.take_along_axis(
            jax.nn.log_softmax(jnp.abs(h @ w[6].T + w[7])), y[:, None], axis=1
        ).mean()

    def step(w: Any, rate: Any, x: Any, y: Any) -> Any:
        # JAX returns the conjugate of the direction of steepest ascent.
        return [p - rate * jnp.conj(g) for p, g in zip(w, jax.grad(loss)(w, x, y), strict=True)]

    def run(w: Any, rates: Any, drawn: Any, inputs: Any, targets: Any) -> Any:
        def body(w: Any, indices: Any) -> Any:
            return jax.vmap(step)(w, rates, inputs[indices], targets[indices]), None

        return jax.lax.scan(body, w, drawn)[0]

    _COMPILED[size, steps] = jax.jit(run)
    return _COMPILED[size, steps]
