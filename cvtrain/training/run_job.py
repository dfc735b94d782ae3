"""One attempt at the runs of a job: prepared, trained, and written down however it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer

from cvtrain.config.point import Point
from cvtrain.models.parameters import count_parameters
from cvtrain.process.errors import FilesChanged, Interrupted, StorageUnavailable
from cvtrain.process.signals import interruption
from cvtrain.runs.checkpoint import save_checkpoint
from cvtrain.runs.journal import Journal
from cvtrain.runs.run_json import RunRecord, Status
from cvtrain.runs.storage_errors import storage_failure
from cvtrain.runs.tensorboard.hyperparameters import hyperparameters
from cvtrain.runs.trackers import Trackers
from cvtrain.runs.writer import RunWriter
from cvtrain.training.job import Job
from cvtrain.training.lightning_trainer import (
    UninterruptedTrainer,
    quiet_lightning,
    trainer_arguments,
)
from cvtrain.training.memory import is_out_of_memory, retain_freed_memory
from cvtrain.training.module import Checkpointer, TrainingModule
from cvtrain.training.single import Single
from cvtrain.training.stack import Stack
from cvtrain.training.step import Tensors
from cvtrain.training.task import load_dataset
from cvtrain.training.training_state import UnusableState, save_state

log = logging.getLogger(__name__)

Progressed = Callable[[int], None]
"""Told the number of updates made, after each."""


def train_and_record(job: Job, progressed: Progressed) -> list[RunRecord] | None:
    """The records, or None where memory ran out and a smaller job may do."""
    journal = Journal(job.root)
    size, threads = len(job.points), torch.get_num_threads()
    spent = [state.seconds for state in job.earlier] or [0.0] * size
    records: list[RunRecord] = []
    recorder: RunWriter | None = None
    try:
        for point, seconds in zip(job.points, spent, strict=True):
            records.append(journal.begin(point, job.engine, size, threads, seconds))
        with quiet_lightning(), retain_freed_memory() if job.engine == "stack" else nullcontext():
            recorder = RunWriter(
                [journal.run_directory(point) for point in job.points],
                [state.recorded for state in job.earlier],
                _trackers(job, journal),
            )
            _fit(job, journal, recorder, records, progressed)
        stops = _stops_for_lost(job, recorder)
        statuses = [_status(*ended, stops) for ended in zip(job.points, records, strict=True)]
        recorder.close([status == "finished" for status in statuses])
        _end(job, journal, recorder, records, statuses)
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
            _leave(job, journal, records)
            raise
        if recorder is not None:
            recorder.close([False] * size)
        lost = recorder.lost if recorder is not None else {}
        for run, (point, record) in enumerate(zip(job.points, records, strict=False)):
            journal.fail(point, record, lost.get(run, error))
        raise
    return records


def _end(
    job: Job,
    journal: Journal,
    recorder: RunWriter,
    records: Sequence[RunRecord],
    statuses: Sequence[Status],
) -> None:
    """Note how each run ended.

    Raises:
        FilesChanged: all of them failed, since their files were removed or changed.
    """
    for run, (point, record) in enumerate(zip(job.points, records, strict=True)):
        if run not in recorder.lost:
            with recorder.keeping(run):
                journal.end(point, record, statuses[run])
    recorder.flush()
    for run, error in recorder.lost.items():
        log.error("%s", error)
        journal.fail(job.points[run], records[run], error)


def _stops_for_lost(job: Job, recorder: RunWriter) -> bool:
    """Whether the other runs are to stop too, since the files of one were removed or changed."""
    return bool(recorder.lost) and job.points[0].config.on_error == "stop"


def _trackers(job: Job, journal: Journal) -> Trackers | None:
    """Of several processes that train one run, the first one's."""
    if dist.is_initialized() and dist.get_rank() > 0:
        return None
    configs = [point.config for point in job.points]
    return Trackers(configs, [journal.run_directory(point) for point in job.points])


def _leave(job: Job, journal: Journal, records: Sequence[RunRecord]) -> None:
    """Note that the runs which have not ended were interrupted, as far as storage takes it: a full
    disk may still take a small file."""
    for point, record in zip(job.points, records, strict=False):  # not all may have begun
        if record.status == "running":
            with suppress(FilesChanged, OSError):
                journal.end(point, record, "interrupted")
    for point in job.points:  # what ended in memory, and failed to be written
        with suppress(FilesChanged, OSError, StorageUnavailable):
            journal.leave(point)


def _status(point: Point, record: RunRecord, stops: bool) -> Status:
    if record.diverged_at is not None:
        return "diverged"
    complete = record.stopped_at is not None or record.steps >= point.config.max_steps
    left = stops or interruption.requested is not None or point.config.pauses(record.steps)
    return "interrupted" if left and not complete else "finished"


def _fit(
    job: Job,
    journal: Journal,
    recorder: RunWriter,
    records: Sequence[RunRecord],
    progressed: Progressed,
) -> None:
    def save() -> None:
        recorded = recorder.recorded()
        surviving = set(trainee.ended.surviving)
        for run, point in enumerate(job.points):
            if run in surviving and run not in recorder.lost:
                with recorder.keeping(run):
                    save_state(journal, point, job.engine, trainee, run, recorded[run])

    trainer, trainee = _prepare(job, recorder, save, progressed)
    recorder.expect(trainee.validations.later_tags)
    for run, point in enumerate(job.points) if not job.earlier else ():
        recorder.declare(run, hyperparameters(point.config))
    try:
        trainer.fit(trainee)
    finally:
        trainee.release()
    if trainee.ended_early:
        for point in job.points:
            log.warning(
                "%s ended after %d of %d updates: a callback stopped the Trainer",
                point.directory,
                trainer.global_step,
                point.config.max_steps,
            )
    final = recorder.final
    best = trainee.validations.best_state
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
        if run in recorder.lost:
            continue
        stops = _stops_for_lost(job, recorder)
        state_dict = trainee.state_dict_of(run)
        with recorder.keeping(run):
            if _status(point, record, stops) != "interrupted" or not trainee.between_updates:
                save_checkpoint(directory, "last", state_dict, record.steps)
            kept = _replaced(state_dict, best.state_of(run)["state"])
            save_checkpoint(directory, "best", kept, int(best.step[run]))
            if trainee.average is not None:
                averaged = _replaced(state_dict, trainee.average.state_of(run))
                save_checkpoint(directory, "average", averaged, record.steps)


def _replaced(state_dict: Tensors, state: Tensors) -> Tensors:
    """The state dict with what `state` has of it; `state` may have buffers that are not saved."""
    return {name: state.get(name, tensor) for name, tensor in state_dict.items()}


def _prepare(
    job: Job, recorder: RunWriter, save: Checkpointer, progressed: Progressed
) -> tuple[Trainer, TrainingModule]:
    configs = [point.config for point in job.points]
    if job.earlier:  # what they started from may be gone
        configs = [config.model_copy(update={"start_from": None}) for config in configs]
    dataset = load_dataset(configs[0])
    torch.manual_seed(configs[0].seed)
    trainer = UninterruptedTrainer(**trainer_arguments(configs[0]))
    trainee: TrainingModule
    if job.engine == "single":
        trainee = Single(configs[0], dataset, recorder, save, progressed)
    else:
        trainee = Stack(configs, dataset, job.size_multiple, recorder, save, progressed)
    trainee.earlier = job.earlier
    return trainer, trainee
