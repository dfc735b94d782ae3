"""Training a job in a worker: a process that gets it from the command of the sweep."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from cvtrain.process.environment import import_from_working_directory
from cvtrain.process.errors import Interrupted, StorageFailed, failure_line
from cvtrain.process.lifetime import temporary_files_in_scratch
from cvtrain.process.signals import interruption
from cvtrain.runs.directory_lock import LeaseWatch, read_owner
from cvtrain.sweeps.executors.executor import Outcome
from cvtrain.training.job import Job
from cvtrain.training.train import train

OWNER_POLL_SECONDS = 1.0


def train_in_worker(job: Job) -> Outcome:
    """Train a job; nothing is raised, since what is raised may not be sent."""
    try:
        interruption.check()
        return train(job)
    except (Interrupted, StorageFailed) as error:
        return error
    except Exception as error:  # the traceback is in the run directories
        return RuntimeError(failure_line(error))
    finally:
        # It was meant for this job: if the sweep is not to end, it hands out another one.
        interruption.requested = None


def train_for_owner(
    job: Job,
    owned_by: str | None,
    signals: Sequence[int],
    directory: Path,
    lease_seconds: float,
) -> Outcome:
    """Train a job on a machine where nothing else tells that the sweep is no more.

    Where another command has the sweep's directory, this process ends at once; where the lease of
    its own command runs out, it ends its step, saves it and leaves.

    Args:
        job: what to train.
        owned_by: the `cvtrain.runs.directory_lock.read_owner` of the sweep; None: it has no
            lock.
        signals: which ask to end the step, save it and leave.
        directory: to work in, as the sweep does: paths in configurations may be relative.
        lease_seconds: how long the sweep's `Lease` may stay without a renewal.
    """
    os.chdir(directory)
    import_from_working_directory()
    interruption.requested = None
    for number in signals:
        signal.signal(number, interruption.note)
    ended = threading.Event()
    if owned_by is not None:
        if not _is_owned(job.root, owned_by):
            os._exit(1)
        watched = job.root, owned_by, LeaseWatch(job.root, lease_seconds), ended
        threading.Thread(target=_watch, args=watched, daemon=True).start()
    try:
        with temporary_files_in_scratch():
            return train_in_worker(job)
    finally:
        ended.set()  # of this job: a process may be given another


def _watch(root: Path, owned_by: str, lease: LeaseWatch, ended: threading.Event) -> None:
    asked = False
    while not ended.wait(OWNER_POLL_SECONDS):
        if not _is_owned(root, owned_by):
            os._exit(1)  # it would write where another one goes on
        if not asked and lease.expired():
            asked = True
            os.kill(os.getpid(), signal.SIGTERM)


def _is_owned(root: Path, owned_by: str) -> bool:
    try:
        return read_owner(root) == owned_by
    except OSError:  # a file system that does not answer now; the lease runs on
        return True
