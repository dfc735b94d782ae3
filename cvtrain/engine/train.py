"""The only trainer: everything that trains comes through `train`."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from cvtrain.config import Config
from cvtrain.convention import convention_name
from cvtrain.engine.kept_heap import kept_heap
from cvtrain.engine.out_of_memory import is_out_of_memory
from cvtrain.engine.single import Single
from cvtrain.engine.stack import Stack, alignment
from cvtrain.engine.trainee import Trainee
from cvtrain.engine.trainer_options import trainer_arguments
from cvtrain.errors import Interrupted
from cvtrain.interruption import interruption
from cvtrain.models.parameters import count_parameters
from cvtrain.point import Point
from cvtrain.record.checkpoint import save_checkpoint
from cvtrain.record.journal import Journal
from cvtrain.record.recorder import Recorder
from cvtrain.record.run_file import Engine, RunRecord, Status
from cvtrain.record.storage import storage_failure, storage_failures_told
from cvtrain.task import describe_task, load_dataset

log = logging.getLogger(__name__)

Progressed = Callable[[int], None]


@dataclass(frozen=True)
class StackJob:
    """Points to train in lock step, and the directory that holds their run directories.

    Attributes:
        points: those of a stack fit together (`cvtrain.stacking.common_part`).
        engine: `single` takes one point.
        multiple: the stack is filled up to a multiple of this; None: so that no run's bits depend
            on the others (`cvtrain.engine.stack.alignment`).
    """

    points: tuple[Point, ...]
    root: Path
    engine: Engine = "single"
    multiple: int | None = None

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError("a job trains at least one point")
        if self.engine == "single" and len(self.points) != 1:
            raise ValueError(f"the single engine trains one point, not {len(self.points)}")


def train(job: StackJob, progressed: Progressed = lambda step: None) -> list[RunRecord]:
    """Train the points of a job; their run directories hold everything, divergence included.

    A stack that does not fit into memory is trained in halves, the smallest ones one by one.

    Args:
        job: what to train, and where.
        progressed: called with the number of updates made, after each.

    Returns:
        one record per point, as its run.json has it.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the runs' files say so and are complete.
        StorageFailed: the run directories cannot be written any more.
        Exception: the runs failed; their directories hold the traceback.
    """
    # Deferred around all of it: a signal must find no moment at which the files are half true.
    with interruption.deferred(), storage_failures_told(job.root):
        records = _train_in_halves(job, progressed)
    interruption.check()
    return records


def _train_in_halves(job: StackJob, progressed: Progressed) -> list[RunRecord]:
    records = _train_and_record(job, progressed)
    if records is not None:
        return records
    size = len(job.points)
    if size > _multiple(job):
        parts = [job.points[: size // 2], job.points[size // 2 :]]
        smaller, how = [replace(job, points=points) for points in parts], "in halves"
    else:  # a smaller stack would be filled up to the same size
        how = "one by one"
        smaller = [replace(job, points=(point,), engine="single") for point in job.points]
    log.warning("%d runs do not fit into memory at once; they are trained %s", size, how)
    gc.collect()  # Lightning's objects refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return [record for part in smaller for record in _train_in_halves(part, progressed)]


def _multiple(job: StackJob) -> int:
    return job.multiple or alignment(job.points[0].config)


def _train_and_record(job: StackJob, progressed: Progressed) -> list[RunRecord] | None:
    """The records, or None where memory ran out and a smaller job may do."""
    if job.engine == "single":
        log_task(job.points[0].config)
    journal = Journal(job.root)
    size, threads = len(job.points), torch.get_num_threads()
    records = [journal.begin(point, job.engine, size, threads) for point in job.points]
    recorder: Recorder | None = None
    try:
        with quiet_lightning(), kept_heap() if job.engine == "stack" else nullcontext():
            recorder = Recorder([journal.run_directory(point) for point in job.points])
            _fit(job, journal, recorder, records, progressed)
        statuses = [_status(*ended) for ended in zip(job.points, records, strict=True)]
        recorder.close([status == "finished" for status in statuses])
        for point, record, status in zip(job.points, records, statuses, strict=True):
            journal.end(point, record, status)
    except Interrupted:  # a second signal, which ends at once
        _leave(job, journal, records)
        raise
    except Exception as error:
        if job.engine == "stack" and is_out_of_memory(error):
            # Nothing is raised from here: what it came from holds on to the memory.
            return None
        if storage_failure(error, job.root):
            with suppress(OSError):  # a full disk may still take a small file
                _leave(job, journal, records)
            raise
        if recorder is not None:
            recorder.close([False] * size)
        for point, record in zip(job.points, records, strict=True):
            journal.fail(point, record, error)
        raise
    return records


def _leave(job: StackJob, journal: Journal, records: Sequence[RunRecord]) -> None:
    """Note that the runs which have not ended were interrupted."""
    for point, record in zip(job.points, records, strict=True):
        if record.status == "running":
            journal.end(point, record, "interrupted")


def log_task(config: Config) -> None:
    """Tell the log of a run what it trains."""
    if log.isEnabledFor(logging.INFO):
        for line in describe_task(config):
            log.info(line)


def _status(point: Point, record: RunRecord) -> Status:
    if record.diverged_at is not None:
        return "diverged"
    complete = record.steps >= point.config.max_steps
    return "finished" if complete or interruption.requested is None else "interrupted"


def _fit(
    job: StackJob,
    journal: Journal,
    recorder: Recorder,
    records: Sequence[RunRecord],
    progressed: Progressed,
) -> None:
    directories = [journal.run_directory(point) for point in job.points]

    def save(name: str, step: int) -> None:
        for run, directory in enumerate(directories):
            if trainee.diverged_at[run] is None:
                save_checkpoint(directory, name, trainee.state_dict_of(run), step)

    trainer, trainee = _prepare(job, recorder, save, progressed)
    recorder.expect(trainee.validations.later_tags)
    for run, point in enumerate(job.points):
        recorder.declare(run, hyperparameters(point.config))
    try:
        trainer.fit(trainee)
    except SIGTERMException:
        # Lightning notes the signal beside us, and ends the loop by this exception.
        if interruption.requested is None:
            raise
    final = recorder.final
    best = trainee.validations.best_weights
    assert best is not None  # the weights before the first update are always validated
    counted = count_parameters(weight[0] for weight in trainee.weights().values())
    for run, (record, directory) in enumerate(zip(records, directories, strict=True)):
        record.parameters = {"complex": counted.complex, "real": counted.real}
        record.diverged_at = trainee.diverged_at[run]
        record.steps = trainer.global_step if record.diverged_at is None else record.diverged_at
        record.final = final[run]
        record.best = {
            f"val/{name}": {"value": value, "step": step}
            for name, (value, step) in trainee.validations.best(run).items()
        }
        state_dict = trainee.state_dict_of(run)
        save_checkpoint(directory, "last", state_dict, record.steps)
        kept = {name: weight[run] for name, weight in best.weights.items()}
        save_checkpoint(directory, "best", state_dict | kept, int(best.step[run]))


def _prepare(
    job: StackJob, recorder: Recorder, save: Callable[[str, int], None], progressed: Progressed
) -> tuple[Trainer, Trainee]:
    configs = [point.config for point in job.points]
    dataset = load_dataset(configs[0])
    torch.manual_seed(configs[0].seed)
    trainer = Trainer(**trainer_arguments(configs[0]))
    if job.engine == "single":
        return trainer, Single(configs[0], dataset, recorder, save, progressed)
    return trainer, Stack(configs, dataset, _multiple(job), recorder, save, progressed)


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
