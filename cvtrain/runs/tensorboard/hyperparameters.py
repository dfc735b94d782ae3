"""What HPARAMS, TensorBoard's table of runs, shows of a configuration."""

from __future__ import annotations

from cvtrain.config.schema import Config
from cvtrain.gradients.convention import convention_name


def hyperparameters(config: Config) -> dict[str, float | str | bool]:
    """What HPARAMS shows of a configuration: the same columns for every run."""
    return {
        "optimizer": config.optimizer.target.rsplit(".", 1)[-1],
        "semantics": config.optimizer.semantics,
        "lr": config.optimizer.lr,
        "lr_octave": config.lr_octave,
        "objective.scale": config.objective.scale,
        "convention": convention_name(config.convention.scale, config.convention.conjugate),
        "clip": config.clip.kind,
        "scheduler": config.scheduler.kind,
        "data": config.data.target.rsplit(".", 1)[-1],
        "model": config.model.target.rsplit(".", 1)[-1],
        "dtype": config.dtype,
        "batch_size": float(config.batch_size or 0),
        "max_steps": float(config.max_steps),
        "init_jitter": config.init_jitter,
        "seed": float(config.seed),
    }
