"""The only trainer: everything that trains comes through `train`."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from cvtrain.config import Config
from cvtrain.convention import convention_name
from cvtrain.engine.single import Single
from cvtrain.engine.trainer_options import trainer_arguments
from cvtrain.errors import Interrupted
from cvtrain.interruption import interruption
from cvtrain.point import Point
from cvtrain.record.checkpoint import save_checkpoint
from cvtrain.record.journal import Journal
from cvtrain.record.recorder import Recorder
from cvtrain.record.run_file import RunRecord, Status
from cvtrain.task import describe_task, load_dataset

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StackJob:
    """Points to train in lock step, and the directory that holds their run directories."""

    points: tuple[Point, ...]
    root: Path

    def __post_init__(self) -> None:
        if len(self.points) != 1:
            raise ValueError(f"a job trains one point, not {len(self.points)}")


def train(job: StackJob, progressed: Callable[[int], None] = lambda step: None) -> list[RunRecord]:
    """Train the points of a job; their run directories hold everything, divergence included.

    Args:
        job: what to train, and where.
        progressed: called with the number of updates made, after each.

    Returns:
        one record per point, as its run.json has it.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the run's files say so and are complete.
        Exception: the run failed; its directory holds the traceback.
    """
    # Deferred around all of it: a signal must find no moment at which the files are half true.
    with interruption.deferred():
        record = _train_and_record(job, progressed)
    interruption.check()
    return [record]


def _train_and_record(job: StackJob, progressed: Callable[[int], None]) -> RunRecord:
    (point,) = job.points
    journal = Journal(job.root)
    directory = journal.run_directory(point)
    record = journal.begin(point, "single", len(job.points), torch.get_num_threads())
    recorder: Recorder | None = None
    try:
        with quiet_lightning():
            recorder = Recorder([directory])
            trainee = _fit(point.config, directory, recorder, record, progressed)
        diverged = trainee.diverged_at[0] is not None
        status: Status = "diverged" if diverged else "finished"
        if interruption.requested is not None and not diverged and not _complete(point, record):
            status = "interrupted"
        recorder.close([status == "finished"])
        journal.end(point, record, status)
    except Interrupted:  # a second signal, which ends at once
        journal.end(point, record, "interrupted")
        raise
    except Exception as error:
        if recorder is not None:
            recorder.close([False])
        journal.fail(point, record, error)
        raise
    return record


def _complete(point: Point, record: RunRecord) -> bool:
    return record.steps >= point.config.max_steps


def _fit(
    config: Config,
    directory: Path,
    recorder: Recorder,
    record: RunRecord,
    progressed: Callable[[int], None],
) -> Single:
    if log.isEnabledFor(logging.INFO):
        for line in describe_task(config):
            log.info(line)
    torch.manual_seed(config.seed)
    trainer = Trainer(**trainer_arguments(config))

    def save(name: str, step: int) -> None:
        save_checkpoint(directory, name, trainee.model.state_dict(), step)

    trainee = Single(config, load_dataset(config), recorder, save, progressed)
    recorder.expect(trainee.later_tags)
    recorder.declare(0, hyperparameters(config))
    try:
        trainer.fit(trainee)
    except SIGTERMException:
        # Lightning notes the signal beside us, and ends the loop by this exception.
        if interruption.requested is None:
            raise
    record.diverged_at = trainee.diverged_at[0]
    record.steps = trainer.global_step if record.diverged_at is None else record.diverged_at
    record.final = recorder.final[0]
    record.best = {
        f"val/{name}": {"value": float(values[0]), "step": int(steps[0])}
        for name, (values, steps) in trainee.convergence.best().items()
    }
    save("last", record.steps)
    best = trainee.best
    assert best is not None  # the weights before the first update are always validated
    weights = {name: weight[0] for name, weight in best.weights.items()}
    state_dict = dict(trainee.model.state_dict()) | weights
    save_checkpoint(directory, "best", state_dict, int(best.step[0]))
    return trainee


def hyperparameters(config: Config) -> dict[str, float | str | bool]:
    """What HPARAMS shows of a configuration: the same columns for every run."""
    return {
        "optimizer": config.optimizer.target.rsplit(".", 1)[-1],
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


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advice about features that are replaced here on purpose."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        try:
            yield
        finally:
            logger.setLevel(level)
