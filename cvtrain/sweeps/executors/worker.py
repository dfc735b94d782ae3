"""Train a job in a worker process that received it from the command of the sweep."""

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
    """Train a job and return its outcome; exceptions are returned, since raised ones may not be
    sendable."""
    try:
        interruption.check()
        return train(job)
    except (Interrupted, StorageFailed) as error:
        return error
    except Exception as error:  # the traceback is in the run directories
        return RuntimeError(failure_line(error))
    finally:
        # The signal was meant for this job: if the sweep continues, it starts another one.
        interruption.requested = None


def train_for_owner(
    job: Job,
    owned_by: str | None,
    signals: Sequence[int],
    directory: Path,
    lease_seconds: float,
) -> Outcome:
    """Train a job on a machine that does not otherwise notice that the sweep has ended.

    If another command owns the sweep's directory, this process ends at once. If the lease of its
    own command runs out, it ends its step, saves it and leaves.

    Args:
        job: job to train.
        owned_by: result of `cvtrain.runs.directory_lock.read_owner` for the sweep; None: it has no
            lock.
        signals: signals that ask to end the step, save it and leave.
        directory: working directory of the sweep, since paths in configurations may be relative.
        lease_seconds: seconds for which the sweep's `Lease` may stay without a renewal.
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
        ended.set()  # for this job only: a process may get another one


def _watch(root: Path, owned_by: str, lease: LeaseWatch, ended: threading.Event) -> None:
    asked = False
    while not ended.wait(OWNER_POLL_SECONDS):
        if not _is_owned(root, owned_by):
            os._exit(1)  # it would write where another command trains
        if not asked and lease.expired():
            asked = True
            os.kill(os.getpid(), signal.SIGTERM)


def _is_owned(root: Path, owned_by: str) -> bool:
    try:
        return read_owner(root) == owned_by
    except OSError:  # the file system does not answer now; the lease keeps running out
        return True
