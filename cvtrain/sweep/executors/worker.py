"""What runs where a job is trained that another process has handed out."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cvtrain.engine.job import StackJob
from cvtrain.engine.train import train
from cvtrain.errors import Interrupted, StorageFailed, first_line
from cvtrain.interruption import interruption
from cvtrain.record.claimed_directory import owner
from cvtrain.sweep.executors.executor import Outcome

OWNER_POLL_SECONDS = 1.0


def train_in_worker(job: StackJob) -> Outcome:
    """Train a job; nothing is raised, since what is raised may not be sent."""
    try:
        interruption.check()
        return train(job)
    except (Interrupted, StorageFailed) as error:
        return error
    except Exception as error:  # the traceback is in the run directories
        return RuntimeError(f"{type(error).__name__}: {first_line(error)}")
    finally:
        # It was meant for this job: if the sweep is not to end, it hands out another one.
        interruption.requested = None


def train_for_owner(
    job: StackJob, owned_by: str | None, signals: Sequence[int], directory: Path
) -> Outcome:
    """Train a job on a machine where nothing else tells that the sweep is no more.

    Args:
        job: what to train.
        owned_by: what `claimed_directory.owner` says of the sweep that wants it; None: it has no
            lock.
        signals: which ask to end the step, save it and leave.
        directory: to work in, as the sweep does: paths in configurations may be relative.
    """
    os.chdir(directory)
    interruption.requested = None
    for number in signals:
        signal.signal(number, interruption.note)
    if owned_by is not None:
        _leave_when(lambda: owner(job.root) != owned_by)
    return train_in_worker(job)


def _leave_when(gone: Callable[[], bool]) -> None:
    """A worker without its sweep would write where another one goes on."""

    def watch() -> None:
        while not gone():
            time.sleep(OWNER_POLL_SECONDS)
        os._exit(1)

    if gone():
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()
