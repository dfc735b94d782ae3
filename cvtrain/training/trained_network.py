"""The network of a run, with the weights of one of its checkpoints."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from cvtrain.config.schema import Config
from cvtrain.models.parameters import put_weights
from cvtrain.process.errors import InputError
from cvtrain.runs.checkpoint import checkpoint_path, load_checkpoint
from cvtrain.training.task import Task

CHECKPOINTS = ("best", "last", "average")


def trained_network(
    directory: Path, config: Config, checkpoint: str = "best"
) -> tuple[Task, nn.Module, int]:
    """Build the network of a run and load the weights of a checkpoint.

    Args:
        directory: directory of the run.
        config: configuration of the run.
        checkpoint: ``best`` (lowest validation loss), ``last`` or ``average``.

    Returns:
        the task, the network, and the number of updates that its weights have had.

    Raises:
        InputError: the checkpoint does not exist, or belongs to another network.
    """
    if checkpoint not in CHECKPOINTS:
        raise InputError(f"checkpoint={checkpoint}: should be one of {', '.join(CHECKPOINTS)}")
    if checkpoint == "average" and config.ema.decay is None:
        raise InputError(f"{directory}: has no averaged weights: ema.decay was not set")
    # Its own weights are loaded below; those from which it started may no longer exist.
    task = Task(config.model_copy(update={"start_from": None}))
    path = checkpoint_path(directory, checkpoint)
    weights, step = load_checkpoint(path)
    model = task.model()
    try:
        put_weights(model, weights)
    except ValueError as error:
        raise InputError(f"{path}: should be of this run's network: {error}") from None
    return task, model, step
