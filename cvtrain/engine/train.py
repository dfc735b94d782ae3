"""The only trainer: everything that trains comes through `train`."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer

from cvtrain.engine.data_parallel import devices_wanted, processes_beside
from cvtrain.engine.kept_heap import kept_heap
from cvtrain.engine.out_of_memory import is_out_of_memory
from cvtrain.engine.run_state import RunState, UnusableState, save_state, state_left
from cvtrain.engine.single import Single
from cvtrain.engine.stack import Stack, alignment
from cvtrain.engine.trainee import Checkpointer, Trainee, pauses
from cvtrain.engine.trainer_options import UninterruptedTrainer, trainer_arguments
from cvtrain.errors import Interrupted, first_line
from cvtrain.interruption import interruption
from cvtrain.models.parameters import count_parameters
from cvtrain.point import Point
from cvtrain.record.checkpoint import save_checkpoint
from cvtrain.record.hyperparameters import hyperparameters
from cvtrain.record.journal import Journal
from cvtrain.record.recorder import Recorder
from cvtrain.record.run_file import Engine, RunRecord, Status
from cvtrain.record.storage import storage_failure, storage_failures_told
from cvtrain.record.tracker import Trackers
from cvtrain.task import load_dataset

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
        earlier: where an attempt that was stopped left the points, all of them at one step; empty:
            they begin.
    """

    points: tuple[Point, ...]
    root: Path
    engine: Engine = "single"
    multiple: int | None = None
    earlier: tuple[RunState, ...] = ()

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError("a job trains at least one point")
        if self.engine == "single" and len(self.points) != 1:
            raise ValueError(f"the single engine trains one point, not {len(self.points)}")


def train(job: StackJob, progressed: Progressed = lambda step: None) -> list[RunRecord]:
    """Train the points of a job; their run directories hold everything, divergence included.

    A stack that does not fit into memory is trained in halves, the smallest ones one by one. Runs
    that an earlier attempt left at a checkpoint go on from there.

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
    records: dict[str, RunRecord] = {}
    with interruption.deferred(), storage_failures_told(job.root), _others_beside(job):
        for part in _parts_at_one_step(job):
            trained = _train_part(part, progressed)
            records |= zip((point.directory for point in part.points), trained, strict=True)
            if interruption.requested is not None:
                break
    interruption.check()
    return [records[point.directory] for point in job.points]


def _others_beside(job: StackJob) -> AbstractContextManager[None]:
    """The processes that train the job with this one; mostly there are none."""
    config = job.points[0].config
    return processes_beside(
        devices_wanted(config.trainer),
        trainer_arguments(config)["accelerator"] == "cuda",
        partial(_train_beside, job),
        job.root,
        job.root / job.points[0].directory,
    )


def _train_beside(job: StackJob, root: Path) -> None:
    """What another process does: the same, into a directory of its own."""
    train(replace(job, root=root))


def _parts_at_one_step(job: StackJob) -> list[StackJob]:
    """The job itself where all of its runs begin, as they mostly do."""
    journal = Journal(job.root)
    at: dict[int, list[tuple[Point, RunState | None]]] = {}
    for point in job.points:
        state = state_left(journal, point, job.engine)
        at.setdefault(0 if state is None else state.step, []).append((point, state))
    return [
        replace(
            job,
            points=tuple(point for point, _ in runs),
            earlier=tuple(state for _, state in runs if state is not None),
        )
        for runs in at.values()
    ]


def _train_part(job: StackJob, progressed: Progressed) -> list[RunRecord]:
    if not job.earlier:
        return _train_in_halves(job, progressed)
    try:
        return _train_in_halves(job, progressed)
    except Exception as error:
        if storage_failure(error, job.root):
            raise
        # What is wrong may be in the checkpoint; what is not comes again, and is told then.
        why = "its checkpoint cannot be used" if isinstance(error, UnusableState) else "it failed"
        named, told = job.points[0].directory, first_line(error) or type(error).__name__
        log.warning("%s begins again, %s: %s", named, why, told)
    return _train_in_halves(replace(job, earlier=()), progressed)


def _train_in_halves(job: StackJob, progressed: Progressed) -> list[RunRecord]:
    records = _train_and_record(job, progressed)
    if records is not None:
        return records
    size = len(job.points)
    if size > _multiple(job):
        halves = slice(size // 2), slice(size // 2, size)
        smaller = [
            replace(job, points=job.points[half], earlier=job.earlier[half]) for half in halves
        ]
        how = "in halves"
    else:  # a smaller stack would be filled up to the same size
        how = "one by one"
        smaller = [
            replace(job, points=(point,), engine="single", earlier=()) for point in job.points
        ]
    log.warning("%d runs do not fit into memory at once; they are trained %s", size, how)
    gc.collect()  # Lightning's objects refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return [record for part in smaller for record in _train_in_halves(part, progressed)]


def _multiple(job: StackJob) -> int:
    return job.multiple or alignment(job.points[0].config)


def _train_and_record(job: StackJob, progressed: Progressed) -> list[RunRecord] | None:
    """The records, or None where memory ran out and a smaller job may do."""
    journal = Journal(job.root)
    size, threads = len(job.points), torch.get_num_threads()
    spent = [state.seconds for state in job.earlier] or [0.0] * size
    records = [
        journal.begin(point, job.engine, size, threads, seconds)
        for point, seconds in zip(job.points, spent, strict=True)
    ]
    recorder: Recorder | None = None
    try:
        with quiet_lightning(), kept_heap() if job.engine == "stack" else nullcontext():
            recorder = Recorder(
                [journal.run_directory(point) for point in job.points],
                [state.recorded for state in job.earlier],
                _trackers(job, journal),
            )
            _fit(job, journal, recorder, records, progressed)
        statuses = [_status(*ended) for ended in zip(job.points, records, strict=True)]
        recorder.close([status == "finished" for status in statuses])
        for point, record, status in zip(job.points, records, statuses, strict=True):
            journal.end(point, record, status)
    except UnusableState:  # the runs begin again
        raise
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


def _trackers(job: StackJob, journal: Journal) -> Trackers | None:
    """Of several processes that train one run, the first one's."""
    if dist.is_initialized() and dist.get_rank() > 0:
        return None
    configs = [point.config for point in job.points]
    return Trackers(configs, [journal.run_directory(point) for point in job.points])


def _leave(job: StackJob, journal: Journal, records: Sequence[RunRecord]) -> None:
    """Note that the runs which have not ended were interrupted."""
    for point, record in zip(job.points, records, strict=True):
        if record.status == "running":
            journal.end(point, record, "interrupted")


def _status(point: Point, record: RunRecord) -> Status:
    if record.diverged_at is not None:
        return "diverged"
    complete = record.stopped_at is not None or record.steps >= point.config.max_steps
    left = interruption.requested is not None or pauses(point.config, record.steps)
    return "interrupted" if left and not complete else "finished"


def _fit(
    job: StackJob,
    journal: Journal,
    recorder: Recorder,
    records: Sequence[RunRecord],
    progressed: Progressed,
) -> None:
    def save() -> None:
        recorded = recorder.recorded()
        surviving = set(trainee.ended.surviving)
        for run, point in enumerate(job.points):
            if run in surviving:
                save_state(journal, point, job.engine, trainee, run, recorded[run])

    trainer, trainee = _prepare(job, recorder, save, progressed)
    recorder.expect(trainee.validations.later_tags)
    for run, point in enumerate(job.points) if not job.earlier else ():
        recorder.declare(run, hyperparameters(point.config))
    try:
        trainer.fit(trainee)
    finally:
        trainee.release()
    final = recorder.final
    best = trainee.validations.best_weights
    assert best is not None  # the weights before the first update are always validated
    references = [asdict(each) for each in trainee.dataset.references]
    counted = count_parameters(weight[0] for weight in trainee.weights().values())
    for run, (point, record) in enumerate(zip(job.points, records, strict=True)):
        directory = journal.run_directory(point)
        record.references = references
        record.parameters = {"complex": counted.complex, "real": counted.real}
        ended_at = trainee.ended.at(run)
        record.diverged_at = trainee.ended.diverged_at[run]
        record.stopped_at = trainee.ended.stopped_at[run]
        record.steps = trainer.global_step if ended_at is None else ended_at
        record.final = final[run]
        record.best = {
            f"val/{name}": {"value": value, "step": step}
            for name, (value, step) in trainee.validations.best(run).items()
        }
        state_dict = trainee.state_dict_of(run)
        if _status(point, record) != "interrupted" or not trainee.between_updates:
            save_checkpoint(directory, "last", state_dict, record.steps)
        kept = {name: weight[run] for name, weight in best.weights.items()}
        save_checkpoint(directory, "best", state_dict | kept, int(best.step[run]))
        if trainee.average is not None:
            averaged = state_dict | trainee.average.state_of(run)
            save_checkpoint(directory, "average", averaged, record.steps)


def _prepare(
    job: StackJob, recorder: Recorder, save: Checkpointer, progressed: Progressed
) -> tuple[Trainer, Trainee]:
    configs = [point.config for point in job.points]
    dataset = load_dataset(configs[0])
    torch.manual_seed(configs[0].seed)
    trainer = UninterruptedTrainer(**trainer_arguments(configs[0]))
    trainee: Trainee
    if job.engine == "single":
        trainee = Single(configs[0], dataset, recorder, save, progressed)
    else:
        trainee = Stack(configs, dataset, _multiple(job), recorder, save, progressed)
    trainee.earlier = job.earlier
    return trainer, trainee


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
