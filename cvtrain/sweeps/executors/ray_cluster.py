"""Train on a Ray cluster (extra ``ray``) whose nodes see the sweep directory under the same path.

Each job is a Ray task, so Ray chooses the node and the share of it. Ray's own retries are switched
off: `cvtrain.sweeps.dispatch` alone decides which job continues from which checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from cvtrain.process.environment import numeric_environment
from cvtrain.process.errors import InputError, Interrupted, first_line
from cvtrain.process.lifetime import scratch_directory
from cvtrain.process.optional_dependencies import require_package
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

LONGEST_FOLDER = 43
"""Largest length of the folder of a cluster's files: the path of a socket has at most 107 bytes."""
END_SECONDS = 60.0
"""Seconds that a sweep that ends waits for running steps."""


class RayCluster(Executor):
    """Executor on the nodes of a Ray cluster.

    Args:
        workers: number of jobs at a time; None: as many as the cluster has room for when the sweep
            begins.
        cores: number of cores per job.
        gpus: number of GPUs per job.
        address: address of a running cluster, ``auto`` for the one of this machine; None: a cluster
            is started on this machine.
        environment: environment variables that are set where jobs are trained.
        lease_seconds: seconds without a sign of life from the command after which its jobs end.

    Raises:
        InputError: a number is not valid, or Ray is not installed.
    """

    def __init__(
        self,
        workers: int | None,
        cores: int,
        gpus: int,
        address: str | None,
        environment: Mapping[str, str],
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._lease_seconds = check_lease(lease_seconds)
        self._lease: Lease | None = None
        self._files = ExitStack()
        key = "hydra.launcher.workers"
        check_count(key, workers, default="as many as the cluster has room for")
        check_count("hydra.launcher.cores", cores)
        if not isinstance(gpus, int) or isinstance(gpus, bool) or gpus < 0:
            raise InputError(f"hydra.launcher.gpus={gpus}: should be an integer of at least 0")
        require_package("ray", "ray", "hydra/launcher=ray")
        self._wanted, self._cores, self._gpus = workers, cores, gpus
        self._address, self._environment = address, dict(environment)

    def open(self) -> None:
        """Join the cluster.

        Raises:
            InputError: the cluster cannot be reached, or none of its nodes is large enough.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        own: dict[str, Any] = {}
        if self._address is None:
            own["include_dashboard"] = False
            folder = str(self._files.enter_context(scratch_directory()))
            if len(folder) <= LONGEST_FOLDER:
                own["_temp_dir"] = folder
        # Workers import what this process imports, a user's own modules included.
        path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
        numeric = {name: os.environ.get(name, text) for name, text in numeric_environment().items()}
        variables = numeric | {"PYTHONPATH": path} | self._environment
        try:
            ray.init(
                address=self._address or "local",
                runtime_env={"env_vars": variables},
                log_to_driver=False,
                logging_level="ERROR",
                **own,
            )
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise InputError(
                f"hydra.launcher.address={self._address}: {first_line(error)}"
            ) from None
        try:
            rooms = [self._room(node["Resources"]) for node in ray.nodes() if node["Alive"]]
            if not sum(rooms):
                raise InputError(
                    f"hydra.launcher.cores={self._cores} hydra.launcher.gpus={self._gpus}: no node"
                    " of the cluster has so many"
                )
        except BaseException:
            ray.shutdown()
            raise
        self.workers = self._wanted or sum(rooms)
        self.sharing = min(self.workers, max(rooms))
        self._task = ray.remote(_train).options(
            num_cpus=self._cores, num_gpus=self._gpus, max_retries=0
        )
        self._running: dict[Any, int] = {}

    def _room(self, resources: Mapping[str, float]) -> int:
        room = resources.get("CPU", 0) // self._cores
        if self._gpus:
            room = min(room, resources.get("GPU", 0) // self._gpus)
        return int(room)

    def close(self) -> None:
        """Leave the cluster after running steps have ended."""
        import ray

        try:
            if self._running:
                self.interrupt()
                ray.wait(list(self._running), num_returns=len(self._running), timeout=END_SECONDS)
        finally:
            ray.shutdown()
            self._files.close()
            if self._lease is not None:
                self._lease.close()

    def start(self, number: int, job: Job) -> None:
        """Put the job into Ray's queue."""
        if self._lease is None:
            self._lease = Lease(job.root, self._lease_seconds)
            self._lease.open()
        reference = self._task.remote(
            job, owner(job.root), Path.cwd(), self._cores, self._lease_seconds
        )
        self._running[reference] = number

    def ended(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Outcomes of jobs that have ended, or whose node is gone."""
        import ray

        done, _ = ray.wait(list(self._running), timeout=seconds)
        return [(self._running.pop(reference), _outcome(reference)) for reference in done]

    def interrupt(self) -> None:
        """Let Ray cancel queued jobs, and send SIGINT to running ones."""
        import ray

        for reference in self._running:
            ray.cancel(reference)


def _outcome(reference: Any) -> Outcome:
    import ray
    from ray.exceptions import RayError, RayTaskError, TaskCancelledError

    try:
        outcome: Outcome = ray.get(reference)
    except TaskCancelledError:
        return Interrupted(signal.SIGINT)
    except RayTaskError as error:  # not from training, which raises nothing
        return RuntimeError(first_line(error.cause or error))
    except RayError as error:
        return WorkerLost(f"the Ray worker that trained was lost ({type(error).__name__})")
    return outcome


def _train(
    job: Job, owned_by: str | None, directory: Path, cores: int, lease_seconds: float
) -> Outcome:
    torch.set_num_threads(cores)
    signals = [signal.SIGINT, signal.SIGTERM]
    return train_for_owner(job, owned_by, signals, directory, lease_seconds)
