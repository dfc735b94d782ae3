"""`train`, the single function through which everything is trained."""

from __future__ import annotations

import gc
import logging
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from cvtrain.config.point import Point
from cvtrain.process.errors import FilesChanged, first_line, machine_failure
from cvtrain.process.signals import interruption
from cvtrain.runs.journal import Journal
from cvtrain.runs.run_json import RunRecord
from cvtrain.runs.storage_errors import storage_failure, translate_storage_errors
from cvtrain.training.data_parallel import devices_wanted, processes_beside
from cvtrain.training.job import Job
from cvtrain.training.memory import is_out_of_memory
from cvtrain.training.module_state import RunState, UnusableState
from cvtrain.training.run_job import Progressed, train_and_record
from cvtrain.training.training_state import load_state

log = logging.getLogger(__name__)


def train(job: Job, progressed: Progressed = lambda step: None) -> list[RunRecord]:
    """Train the points of a job; the results are in their run directories.

    Diverged runs are results, not errors. A stack that does not fit into memory is trained in
    halves, the smallest stacks one run at a time. Interrupted runs continue from their checkpoints.

    Args:
        job: what to train, and where.
        progressed: called with the number of updates made, after each.

    Returns:
        one record per point, as in its run.json.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the runs' files say so and are complete.
        StorageFailed: the run directories can no longer be written.
        Exception: the runs failed; their directories hold the traceback.
    """
    # Signals are deferred throughout, so that none interrupts while files are half written.
    records: dict[str, RunRecord] = {}
    with interruption.deferred(), translate_storage_errors(job.root), _other_processes(job):
        for part in _parts_at_one_step(job):
            trained = _train_part(part, progressed)
            records |= zip((point.directory for point in part.points), trained, strict=True)
            if interruption.requested is not None:
                break
    interruption.check()
    return [records[point.directory] for point in job.points]


def _other_processes(job: Job) -> AbstractContextManager[None]:
    """The other processes of `trainer.devices`; with one device there are none."""
    config = job.points[0].config
    return processes_beside(
        devices_wanted(config.trainer),
        job.task.accelerator == "cuda",
        partial(_train_in_process, job),
        job.root,
        job.root / job.points[0].directory,
    )


def _train_in_process(job: Job, root: Path) -> None:
    """Train the same job in another process, with its own directory."""
    train(replace(job, root=root))


def _parts_at_one_step(job: Job) -> list[Job]:
    """Split a job into parts whose runs continue from the same step; usually there is one part."""
    journal = Journal(job.root)
    at: dict[int, list[tuple[Point, RunState | None]]] = {}
    for point in job.points:
        state = load_state(journal, point, job.engine)
        at.setdefault(0 if state is None else state.step, []).append((point, state))
    return [
        replace(
            job,
            points=tuple(point for point, _ in runs),
            earlier=tuple(state for _, state in runs if state is not None),
        )
        for runs in at.values()
    ]


def _train_part(job: Job, progressed: Progressed) -> list[RunRecord]:
    if not job.earlier:
        return _train_in_halves(job, progressed)
    try:
        return _train_in_halves(job, progressed)
    except Exception as error:
        if isinstance(error, FilesChanged) or storage_failure(error, job.root):
            raise
        if machine_failure(error) or is_out_of_memory(error):
            raise
        # The checkpoint may be the cause; any other error occurs again below and is raised there.
        why = "its checkpoint cannot be used" if isinstance(error, UnusableState) else "it failed"
        directory, reason = job.points[0].directory, first_line(error) or type(error).__name__
        log.warning("%s begins again, %s: %s", directory, why, reason)
    return _train_in_halves(replace(job, earlier=()), progressed)


def _train_in_halves(job: Job, progressed: Progressed) -> list[RunRecord]:
    records = train_and_record(job, progressed)
    if records is not None:
        return records
    size = len(job.points)
    if size > job.size_multiple:
        halves = slice(size // 2), slice(size // 2, size)
        smaller = [
            replace(job, points=job.points[half], earlier=job.earlier[half]) for half in halves
        ]
        how = "in halves"
    else:  # a smaller stack would be padded to the same size
        how = "one by one"
        smaller = [
            replace(job, points=(point,), engine="single", earlier=()) for point in job.points
        ]
    log.warning("%d runs do not fit into memory at once; they are trained %s", size, how)
    gc.collect()  # Lightning's objects are in reference cycles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return [record for part in smaller for record in _train_in_halves(part, progressed)]
