"""Which of Lightning's callbacks are taken, and what serves instead of the others."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, callbacks

from cvtrain.config.schema import Config
from cvtrain.config.targets import check_arguments, resolve_target
from cvtrain.process.errors import InputError, told
from cvtrain.training.monitor import GradientMonitor

REPLACED_CALLBACKS: dict[type[Callback], str] = {
    callbacks.EarlyStopping: "use early_stopping.patience and early_stopping.metric",
    callbacks.Checkpoint: "use checkpoint.every_n_steps (best.ckpt and last.ckpt are always there)",
    callbacks.OnExceptionCheckpoint: "use checkpoint.every_n_steps",
    callbacks.StochasticWeightAveraging: "use ema.decay",
    callbacks.WeightAveraging: "use ema.decay",
    callbacks.LearningRateMonitor: "leave it out; train/lr is always recorded",
    callbacks.LearningRateFinder: "sweep lr_octave (+experiment=sweep), or optimizer.lr",
    callbacks.BatchSizeFinder: "set batch_size",
    callbacks.GradientAccumulationScheduler: "use trainer.accumulate_grad_batches",
    callbacks.BasePredictionWriter: "use python -m cvtrain evaluate RUN --predictions FILE.npz",
    callbacks.DeviceStatsMonitor: "leave it out; there is no logger of Lightning's to write to",
    callbacks.ThroughputMonitor: "leave it out; there is no logger of Lightning's to write to",
    callbacks.BaseFinetuning: "start from weights with start_from, and freeze layers in the network"
    " (requires_grad_(False))",
    callbacks.ModelPruning: "prune the network of a checkpoint: the callback renames its parameters"
    " while it is trained",
    GradientMonitor: "use signals.scalars_every; the same is always recorded",
}
"""What cannot work in a run, with its subclasses: there is no logger of Lightning's, no validation
loop, one epoch, and files of the runs' own."""

SHAPE = "should be a list of callbacks, such as [{_target_: lightning.pytorch.callbacks.Timer}]"


def callbacks_of(config: Config) -> list[Callback]:
    """The callbacks that `trainer.callbacks` asks for.

    Raises:
        InputError: it is no list of callbacks, or one of them cannot work in a run.
    """
    given = config.trainer.get("callbacks")
    if given is None:
        return []
    if not isinstance(given, list | tuple):
        raise InputError(f"trainer.callbacks={given}: {SHAPE}")
    return [_callback(index, slot, config) for index, slot in enumerate(given)]


def _callback(index: int, slot: Any, config: Config) -> Callback:
    key = f"trainer.callbacks[{index}]"
    if not isinstance(slot, dict) or "_target_" not in slot:
        raise InputError(f"{key}={slot}: {SHAPE}")
    path = str(slot["_target_"])
    kind = resolve_target(key, path, Callback, config.trusted_modules)
    for replaced, instead in REPLACED_CALLBACKS.items():
        if isinstance(kind, type) and issubclass(kind, replaced):
            raise InputError(f"{key}._target_={path}: cannot work here; {instead}")
    arguments = {name: value for name, value in slot.items() if name != "_target_"}
    checked = check_arguments(key, kind, arguments)
    try:
        callback: Callback = kind(**checked)
    except Exception as error:  # whatever a user's callback comes up with
        raise InputError(f"{key}: {kind.__name__} refuses its arguments: {told(error)}") from None
    shown = config.trainer.get("enable_progress_bar")
    if isinstance(callback, callbacks.ProgressBar) and not shown:
        raise InputError(
            f"{key}._target_={path}: add +trainer.enable_progress_bar=true, without which there is"
            " no progress bar"
        )
    return callback
