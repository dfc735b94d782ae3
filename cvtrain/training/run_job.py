"""Train the runs of a job once, and record how each of them ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer

from cvtrain.config.point import Point
from cvtrain.data.dataset import Dataset
from cvtrain.models.parameters import count_parameters
from cvtrain.process.errors import FilesChanged, Interrupted, StorageUnavailable
from cvtrain.process.signals import interruption
from cvtrain.runs.checkpoint import save_checkpoint
from cvtrain.runs.journal import Journal
from cvtrain.runs.run_json import RecordedReference, RunRecord, Status
from cvtrain.runs.storage_errors import storage_failure
from cvtrain.runs.tensorboard.writer import hyperparameters
from cvtrain.runs.trackers import Trackers
from cvtrain.runs.versions import machine
from cvtrain.runs.writer import RunWriter
from cvtrain.training.job import Job
from cvtrain.training.lightning_trainer import (
    new_trainer,
    quiet_lightning,
)
from cvtrain.training.memory import is_out_of_memory, retain_freed_memory
from cvtrain.training.metrics import WholeMetric, directions
from cvtrain.training.module import TrainingModule, TrainingSettings
from cvtrain.training.module_state import UnusableState
from cvtrain.training.single import Single
from cvtrain.training.stack import Stack
from cvtrain.training.task import Task
from cvtrain.training.training_state import save_state
from cvtrain.training.update import Tensors

log = logging.getLogger(__name__)

Progressed = Callable[[int], None]
"""Called after each update with the number of updates made."""


def train_and_record(job: Job, progressed: Progressed) -> list[RunRecord] | None:
    """Train the points of a job and return their records; None if a stack ran out of memory, so
    that a smaller one may succeed."""
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
                job.points[0].config.signals.tensorboard,
            )
            _fit(job, journal, recorder, records, progressed)
        stops = _stops_for_lost(job, recorder)
        statuses = [_status(*ended, stops) for ended in zip(job.points, records, strict=True)]
        recorder.close([status == "finished" for status in statuses])
        _end(job, journal, recorder, records, statuses)
    except UnusableState:  # the caller starts the runs from the beginning
        raise
    except Interrupted:  # a second signal, which ends at once
        _leave(job, journal, records)
        raise
    except Exception as error:
        if job.engine == "stack" and is_out_of_memory(error):
            # Not raised: its traceback would hold the memory.
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
    """Write how each run ended into its run.json; runs whose files were removed or changed fail."""
    for run, (point, record) in enumerate(zip(job.points, records, strict=True)):
        if run not in recorder.lost:
            with recorder.keeping(run):
                journal.end(point, record, statuses[run])
    recorder.flush()
    for run, error in recorder.lost.items():
        log.error("%s", error)
        journal.fail(job.points[run], records[run], error)


def _stops_for_lost(job: Job, recorder: RunWriter) -> bool:
    """Whether all runs stop because the files of one run were removed or changed."""
    return bool(recorder.lost) and job.points[0].config.on_error == "stop"


def _trackers(job: Job, journal: Journal) -> Trackers | None:
    """The trackers of the runs; None in all but the first of several processes that train one
    run."""
    if dist.is_initialized() and dist.get_rank() > 0:
        return None
    configs = [point.config for point in job.points]
    return Trackers(configs, [journal.run_directory(point) for point in job.points])


def _leave(job: Job, journal: Journal, records: Sequence[RunRecord]) -> None:
    """Mark the runs that have not ended as interrupted, as far as storage allows: a full disk may
    still take a small file."""
    for point, record in zip(job.points, records, strict=False):  # not all may have begun
        if record.status == "running":
            with suppress(FilesChanged, OSError):
                journal.end(point, record, "interrupted")
    for point in job.points:  # also those whose end could not be written
        with suppress(FilesChanged, OSError, StorageUnavailable):
            journal.mark_interrupted(point)


def _status(point: Point, record: RunRecord, stops: bool) -> Status:
    if record.diverged_at is not None:
        return "diverged"
    complete = record.stopped_at is not None or record.steps >= point.config.max_steps
    asked = stops or interruption.requested is not None or point.config.pauses(record.steps)
    return "interrupted" if asked and not complete else "finished"


def _fit(
    job: Job,
    journal: Journal,
    recorder: RunWriter,
    records: Sequence[RunRecord],
    progressed: Progressed,
) -> None:
    """Train, then put the results into `records` and write the final checkpoints."""

    def save(module: TrainingModule) -> None:
        recorded = recorder.recorded()
        surviving = set(module.statuses.surviving)
        for run, point in enumerate(job.points):
            if run in surviving and run not in recorder.lost:
                with recorder.keeping(run):
                    save_state(journal, point, job.engine, module, run, recorded[run])

    settings = TrainingSettings(recorder, save, progressed, job.earlier)
    trainer, module = _prepare(job, settings)
    recorder.expect(module.validations.later_tags)
    for run, point in enumerate(job.points) if not job.earlier else ():
        recorder.declare(run, hyperparameters(point.config))
    try:
        trainer.fit(module)
    finally:
        module.release()
    if module.ended_early:
        for point in job.points:
            log.warning(
                "%s ended after %d of %d updates: a callback stopped the Trainer",
                point.directory,
                trainer.global_step,
                point.config.max_steps,
            )
    final = recorder.final
    of_data = [_of_data(job.task, dataset) for dataset in module.draws.distinct]
    added = {name: m for name, m in module.metrics.items() if isinstance(m, WholeMetric)}
    rising = [name for name, more_is_better in directions(added).items() if more_is_better]
    samples = {
        "training": len(module.dataset.train),
        "validation": len(module.dataset.validation),
        "test": len(module.dataset.test),
    }
    trained_on = _machine(trainer.strategy.root_device)
    counted = count_parameters(weight[0] for weight in module.weights().values())
    for run, (point, record) in enumerate(zip(job.points, records, strict=True)):
        draw = int(module.draws.of_run[run])
        record.references, record.untrained_loss = of_data[draw]
        record.scales = dict(module.draws.distinct[draw].scales)
        record.rising = rising
        record.device = trainer.strategy.root_device.type
        record.machine, record.samples = trained_on, samples
        record.parameters = {"complex": counted.complex, "real": counted.real}
        ended_at = module.statuses.ended_at(run)
        record.diverged_at = module.statuses.diverged_at[run]
        record.stopped_at = module.statuses.stopped_at[run]
        record.steps = trainer.global_step if ended_at is None else ended_at
        record.final = final[run]
        record.best = {
            f"val/{name}": {"value": value, "step": step}
            for name, (value, step) in module.validations.best(run).items()
        }
        record.tested = module.tested_weights(run, record.steps)
        if run not in recorder.lost:
            status = _status(point, record, _stops_for_lost(job, recorder))
            resumable = status == "interrupted" and module.between_updates
            with recorder.keeping(run):
                _save_checkpoints(journal.run_directory(point), module, run, record, resumable)


def _of_data(task: Task, dataset: Dataset) -> tuple[list[RecordedReference], float | None]:
    """References, and the loss of an untrained network, for comparison with the trained one."""
    references = [
        RecordedReference(tag=r.tag, name=r.name, value=r.value) for r in dataset.references
    ]
    return references, task.untrained_loss(dataset)


def _machine(device: torch.device) -> dict[str, str]:
    described = machine() | {"code_path": torch.backends.cpu.get_cpu_capability()}
    if device.type == "cuda":
        described["gpu"] = torch.cuda.get_device_name(device)
    return described


def _save_checkpoints(
    directory: Path, module: TrainingModule, run: int, record: RunRecord, resumable: bool
) -> None:
    """Write `best`, `average` if there is one, and `last` unless it is already there, `resumable`,
    with the state to continue from."""
    state_dict = module.state_dict_of(run)
    if not resumable:
        save_checkpoint(directory, "last", state_dict, record.steps)
    best_state = module.validations.best_state
    assert best_state is not None  # the initial weights are always validated
    best = best_state.state_dict(run)
    save_checkpoint(directory, "best", _replaced(state_dict, best["state"]), best["step"])
    if module.average is not None:
        averaged = _replaced(state_dict, module.average.state_dict(run))
        save_checkpoint(directory, "average", averaged, record.steps)


def _replaced(state_dict: Tensors, state: Tensors) -> Tensors:
    """The state dict with the tensors of `state`, which may have buffers that are not saved."""
    return {name: state.get(name, tensor) for name, tensor in state_dict.items()}


def _prepare(job: Job, settings: TrainingSettings) -> tuple[Trainer, TrainingModule]:
    configs = [point.config for point in job.points]
    if job.earlier:  # the weights from which they started may no longer exist
        configs = [config.model_copy(update={"start_from": None}) for config in configs]
    torch.manual_seed(configs[0].seed)
    trainer = new_trainer(configs[0])
    if job.engine == "single":
        return trainer, Single(configs[0], job.task, settings)
    return trainer, Stack(configs, job.task, job.size_multiple, settings)
