"""Interface of the backends that train jobs: in process, worker processes, Ray, SLURM."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

from cvtrain.process.errors import InputError
from cvtrain.runs.run_json import RunRecord
from cvtrain.training.job import Job

Outcome = list[RunRecord] | BaseException
"""Outcome of a job: the records of its runs, or the exception that ended it: `WorkerLost`,
`Interrupted` (its runs are saved at a step), `StorageFailed`, or the failure of its runs."""


LONGEST_LEASE = 86_400
"""Largest lease in seconds: jobs of a killed command end within a day."""


class WorkerLost(Exception):
    """The process that trained a job died; its runs continue from their last checkpoint."""


class Executor(ABC):
    """Context manager that trains jobs; leaving it interrupts them and waits until they are saved.

    Attributes:
        workers: number of jobs that it takes at a time.
        sharing: number of these jobs that share the memory of one machine.
        threads: number of threads that train a job; None: torch's number in this process.
        here: whether jobs are trained in this process.
    """

    workers: int = 1
    sharing: int = 1
    threads: int | None = None
    here: bool = False

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def open(self) -> None:
        """Prepare to train."""

    @abstractmethod
    def close(self) -> None:
        """Interrupt jobs that still train, and wait until they are saved."""

    @abstractmethod
    def start(self, number: int, job: Job) -> None:
        """Start to train a job. `number` identifies it among the jobs that are being trained."""

    @abstractmethod
    def ended(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Wait up to `seconds` for a job to end; return numbers and outcomes of all that have
        ended."""

    @abstractmethod
    def interrupt(self) -> None:
        """Ask the training jobs to end their step, save it and leave."""


def check_lease(seconds: object) -> float:
    """Check the duration of a lease, in seconds.

    Raises:
        InputError: the value is not a number, or out of range.
    """
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if isinstance(seconds, int | float) and number and 0 < seconds <= LONGEST_LEASE:
        return float(seconds)
    raise InputError(
        f"hydra.launcher.lease_seconds={seconds}: should be a number above 0 and at most"
        f" {LONGEST_LEASE:,}"
    )


def check_count(key: str, value: object, default: str | None = None) -> None:
    """Check that a value is a count.

    Args:
        key: configuration key of the value.
        value: the value.
        default: meaning of null; None: null is not allowed.

    Raises:
        InputError: the value is not an integer of at least 1; the message says what is allowed.
    """
    if value is None and default is not None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        null = f", or null: {default}" if default is not None else ""
        raise InputError(f"{key}={value}: should be an integer of at least 1{null}")
