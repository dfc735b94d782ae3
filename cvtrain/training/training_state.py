"""Where a run of an earlier attempt was, and going on from there with the same bits."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cvtrain.config.point import Point
from cvtrain.process.errors import StorageFailed, first_line
from cvtrain.process.machine_failure import machine_failure
from cvtrain.runs.checkpoint import checkpoint_path, read_checkpoint, save_checkpoint
from cvtrain.runs.file_snapshot import FileSnapshot
from cvtrain.runs.journal import Journal
from cvtrain.runs.run_json import Engine, Status
from cvtrain.runs.storage_errors import storage_failure
from cvtrain.training.divergence import DivergenceLatch
from cvtrain.training.ema import WeightAverage
from cvtrain.training.memory import is_out_of_memory
from cvtrain.training.module_interface import ModuleInterface
from cvtrain.training.validation import Validations

log = logging.getLogger(__name__)

GOES_ON: tuple[Status, ...] = ("running", "interrupted")
"""A run that failed begins again: what made it fail may be in its checkpoint."""


class UnusableState(Exception):
    """A state that does not fit the run it claims to be of."""


@dataclass(frozen=True)
class RunState:
    """A run between two updates.

    Attributes:
        step: updates made.
        weights: of the plain network, by their names in its state dict.
        training: `ResumableModule.training_state` of the run: buffers, the optimizer's state,
            random numbers, validations, the bound on the loss, averaged weights (if any).
        recorded: what its files held.
        seconds: that it had taken.
    """

    step: int
    weights: dict[str, Tensor]
    training: dict[str, Any]
    recorded: FileSnapshot
    seconds: float


class ResumableModule(ModuleInterface):
    """K runs whose training can be written to checkpoints, and continued from them bit by bit.

    Attributes:
        members: K.
        validations: of the K runs.
        latch: holds the runs that diverged.
        average: of the K runs' weights; None where there is none.
    """

    members: int
    validations: Validations
    latch: DivergenceLatch
    average: WeightAverage | None

    @abstractmethod
    def live_state(self) -> dict[str, Tensor]:
        """Live views [K, …] of weights and buffers, by plain name."""

    def training_state(self, run: int) -> dict[str, Any]:
        """Besides the weights, all that the next updates of run number `run` depend on."""
        return {
            "buffers": {name: buffer[run] for name, buffer in self.network_buffers().items()},
            "optimizer": self.optimizer_state_of(run),
            "random": self.random_state_of(run),
            "validations": self.validations.state_of(run),
            "loss_bound": self.latch.bound_of(run),
            **({} if self.average is None else {"average": self.average.state_of(run)}),
        }

    def load_run_states(self, states: Sequence[RunState]) -> None:
        """Continue from `states`, before any update; padding copies the last one.

        Raises:
            UnusableState: they do not fit, or are not of one step.
        """
        filled = [*states, *[states[-1]] * (self.members - len(states))]
        step = filled[0].step
        try:
            if any(state.step != step for state in filled):
                raise ValueError("states of different steps")
            _put(self.weights(), [state.weights for state in filled])
            buffers = self.network_buffers()
            if any(state.training["buffers"].keys() != buffers.keys() for state in filled):
                raise ValueError("it has buffers that a network has not before its first update")
            _put(buffers, [state.training["buffers"] for state in filled])
            self.restore_optimizer([state.training["optimizer"] for state in filled], step)
            self.restore_random([state.training["random"] for state in filled])
            validations = [state.training["validations"] for state in filled]
            self.validations.go_on(validations, self.live_state())
            if self.average is not None:
                self.average.go_on([state.training["average"] for state in filled])
            bounds = torch.stack([state.training["loss_bound"] for state in filled])
            self.latch.go_on(bounds.to(self.device))
        except Exception as error:  # a stranger's file may hold anything in any place
            if is_out_of_memory(error):
                raise
            raise UnusableState(first_line(error) or type(error).__name__) from error
        # What the Trainer counts; its own way of loading this needs its own kind of checkpoint.
        progress = self.trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress
        progress.optimizer.step.total.completed = step


def save_state(
    journal: Journal,
    point: Point,
    engine: Engine,
    module: ResumableModule,
    run: int,
    recorded: FileSnapshot,
) -> None:
    """Write the checkpoint `last` of a run between two updates, with all that it goes on from."""
    training = module.training_state(run) | {
        "id": point.id,
        "engine": engine,
        "recorded": recorded.as_dict(),
        "seconds": journal.spent(point),
    }
    step = module.trainer.global_step
    directory = journal.run_directory(point)
    save_checkpoint(directory, "last", module.state_dict_of(run), step, training)


def state_left(journal: Journal, point: Point, engine: Engine) -> RunState | None:
    """What an attempt that was stopped left of a run, or None where it has to begin again.

    Raises:
        StorageUnavailable, OSError: the file system fails: what there is cannot be told.
        StorageFailed: its checkpoint cannot be read for another reason of the machine.
    """
    directory = journal.run_directory(point)
    path = checkpoint_path(directory, "last")
    if journal.status(point.directory) not in GOES_ON:
        return None
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        content = read_checkpoint(path)
        training = content.get("training")
        if not isinstance(training, dict):
            return None
        if (training.get("id"), training.get("engine")) != (point.id, engine):
            return None
        recorded = FileSnapshot.from_dict(training["recorded"])
        seconds = float(training["seconds"])
        fits = 0 < content["step"] < point.config.max_steps and recorded.still_there(directory)
    except Exception as error:  # a stranger's file may hold anything in any place
        if storage_failure(error, directory):  # the checkpoint may be whole
            raise
        if (failure := machine_failure(error)) is not None:
            raise StorageFailed(f"{path}: cannot be read ({failure}); it is kept") from error
        told = first_line(error) or type(error).__name__
        log.warning("%s begins again, its checkpoint cannot be used: %s", point.directory, told)
        return None
    if not fits:
        log.warning("%s begins again, its files do not match its checkpoint", point.directory)
        return None
    return RunState(content["step"], content["state_dict"], training, recorded, seconds)


def _put(live: Mapping[str, Tensor], saved: Sequence[Mapping[str, Tensor]]) -> None:
    """Fill live tensors [K, …] with K runs' own.

    Raises:
        ValueError: of another shape or dtype.
    """
    with torch.no_grad():
        for name, tensor in live.items():
            for each in saved:
                # Before they are stacked: a view of one number may claim to be of any size.
                if each[name].shape != tensor.shape[1:] or each[name].dtype != tensor.dtype:
                    raise ValueError(f"{name} is {list(each[name].shape)}, {each[name].dtype}")
            tensor.copy_(torch.stack([each[name] for each in saved]))
