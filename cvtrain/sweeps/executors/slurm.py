"""Train by SLURM through submitit (extra ``slurm``); nodes see the sweep directory under the same
path.

A job that is preempted, or reaches its time limit, finishes its step, saves it and ends; it is
submitted again and continues from there. SLURM's own requeueing is switched off, because two jobs
that train the same runs would write into one directory.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cvtrain.process.errors import InputError, Interrupted, first_line
from cvtrain.process.lifetime import scratch_directory
from cvtrain.process.limits import check_process_count
from cvtrain.process.optional_dependencies import require_package
from cvtrain.process.signals import children_shielded_from_ctrl_c
from cvtrain.runs.directory_lock import LEASE_SECONDS, Lease, owner
from cvtrain.sweeps.executors.executor import (
    Executor,
    Outcome,
    WorkerLost,
    check_count,
    check_lease,
)
from cvtrain.sweeps.executors.worker import train_for_owner
from cvtrain.training.job import Job

FOLDER = ".slurm"
"""Folder in the sweep directory with submitit's scripts, logs and results."""
CLUSTERS = ("slurm", "local")
LOOK_SECONDS = 0.2
"""Seconds between two checks for results."""
ASK_SECONDS = 5.0
"""Seconds between two queries to SLURM when the sweep ends; before, submitit asks once a minute."""


class Slurm(Executor):
    """Executor with jobs in a SLURM queue.

    Args:
        workers: number of jobs in the queue at a time.
        cluster: ``slurm``; or ``local``, for which submitit starts processes of this machine.
        parameters: parameters of submitit by name; None values are left out.
        lease_seconds: seconds without a sign of life from the command after which its jobs end.

    Raises:
        InputError: a parameter is unknown to submitit, submitit is not installed, or this machine
            has no SLURM.
    """

    def __init__(
        self,
        workers: int,
        cluster: str,
        parameters: Mapping[str, Any],
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._lease_seconds = check_lease(lease_seconds)
        self._lease: Lease | None = None
        check_count("hydra.launcher.workers", workers)
        if cluster not in CLUSTERS:
            raise InputError(f"hydra.launcher.cluster={cluster}: should be slurm or local")
        if cluster == "local":
            check_process_count("hydra.launcher.workers", workers)
        require_package("submitit", "slurm", "hydra/launcher=slurm")
        self.workers, self._cluster = workers, cluster
        self.sharing = workers if cluster == "local" else 1
        self._parameters = {key: value for key, value in parameters.items() if value is not None}
        if cluster == "slurm":
            more = dict(self._parameters.get("slurm_additional_parameters", {}))
            self._parameters["slurm_additional_parameters"] = more | {"no_requeue": True}
        with scratch_directory() as folder:
            self._submitter(folder)
        self._queue: Any = None
        self._running: dict[int, Any] = {}
        self._cancelled: float | None = None

    def _submitter(self, folder: Path) -> Any:
        import submitit

        try:
            submitter = submitit.AutoExecutor(folder=folder, cluster=self._cluster)
            submitter.update_parameters(**self._parameters)
        except RuntimeError as error:
            raise InputError(
                f"hydra/launcher=slurm: {first_line(error)}; hydra.launcher.cluster=local tries it"
                " out without SLURM"
            ) from None
        except (NameError, AssertionError, ValueError, TypeError) as error:
            raise InputError(f"hydra.launcher.parameters: {first_line(error)}") from None
        return submitter

    def open(self) -> None:
        """Do nothing: the queue exists already."""

    def close(self) -> None:
        """Cancel the jobs in the queue, and wait for them."""
        try:
            self.interrupt()
            while self._running:
                self.ended(ASK_SECONDS)
        finally:
            if self._lease is not None:
                self._lease.close()

    def start(self, number: int, job: Job) -> None:
        """Put the job into the queue."""
        if self._queue is None:
            folder = job.root / FOLDER
            folder.mkdir(exist_ok=True)
            # Results are pickled. In a folder whose name is not known in advance, all files are
            # ours.
            self._queue = self._submitter(Path(tempfile.mkdtemp(dir=folder, prefix="")))
            self._lease = Lease(job.root, self._lease_seconds)
            self._lease.open()
        with children_shielded_from_ctrl_c():
            self._running[number] = self._queue.submit(
                _train, job, owner(job.root), Path.cwd(), self._lease_seconds
            )

    def ended(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Outcomes of jobs that have ended, or that SLURM no longer knows."""
        until = time.monotonic() + seconds
        while True:
            ask = self._cancelled is not None and time.monotonic() - self._cancelled > ASK_SECONDS
            if ask:
                self._cancelled = time.monotonic()
            done = [number for number, job in self._running.items() if job.done(force_check=ask)]
            if done or time.monotonic() >= until:
                return [(number, self._outcome(self._running.pop(number))) for number in done]
            time.sleep(LOOK_SECONDS)

    def interrupt(self) -> None:
        """Remove waiting jobs from the queue, and send SIGTERM to running ones."""
        self._cancelled = time.monotonic()
        for job in self._running.values():
            if self._cluster == "local":  # there `cancel` would kill within a second
                with suppress(ProcessLookupError):
                    os.kill(int(job.job_id), signal.SIGTERM)
            else:
                job.cancel(check=False)

    def _outcome(self, job: Any) -> Outcome:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        if self._cancelled is not None and not job.paths.result_pickle.exists():
            return Interrupted(signal.SIGTERM)  # the job never started
        try:
            outcome: Outcome = job.result()
        except UncompletedJobError:
            return WorkerLost(f"SLURM job {job.job_id} ended without a result ({job.state})")
        except FailedJobError:  # not from training, which raises nothing
            return RuntimeError(f"SLURM job {job.job_id} failed: see {job.paths.stderr}")
        return outcome


def _train(job: Job, owned_by: str | None, directory: Path, lease_seconds: float) -> Outcome:
    from submitit import JobEnvironment

    preempted = getattr(signal, f"SIG{JobEnvironment.USR_SIG}")
    signals = [signal.SIGINT, signal.SIGTERM, preempted]
    return train_for_owner(job, owned_by, signals, directory, lease_seconds)
