"""Interface of the backends that train jobs: in process, worker processes, Ray, SLURM."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

from cvtrain.process.errors import InputError
from cvtrain.runs.run_json import RunRecord
from cvtrain.training.job import Job

Outcome = list[RunRecord] | BaseException
"""Of a job: the records of its runs, or the exception that ended it: `WorkerLost`, `Interrupted`
(its runs are saved at a step), `StorageFailed`, or the failure of its runs."""


LONGEST_LEASE = 86_400
"""Seconds: jobs of a command that was killed end within a day."""


class WorkerLost(Exception):
    """The process that trained a job died; its runs continue from their last checkpoint."""


class Executor(ABC):
    """Context manager that trains jobs; leaving it interrupts them and waits until they are saved.

    Attributes:
        workers: how many jobs it takes at a time.
        sharing: how many of them share the memory of one machine.
        threads: that train each of them; None: as many as torch has in this process.
        here: whether it is this process that trains.
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
        """Make ready to train."""

    @abstractmethod
    def close(self) -> None:
        """Interrupt what is still trained, and wait for it to be saved."""

    @abstractmethod
    def start(self, number: int, job: Job) -> None:
        """Begin to train a job. `number` identifies it among those that are being trained."""

    @abstractmethod
    def ended(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Wait up to `seconds` for a job to end; returns numbers and outcomes of all that have."""

    @abstractmethod
    def interrupt(self) -> None:
        """Ask what is trained now to end its step, save it and leave."""


def check_lease(seconds: object) -> float:
    """Check the duration of a lease, in seconds.

    Raises:
        InputError: it is no number, or out of range.
    """
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if isinstance(seconds, int | float) and number and 0 < seconds <= LONGEST_LEASE:
        return float(seconds)
    raise InputError(
        f"hydra.launcher.lease_seconds={seconds}: should be a number above 0 and at most"
        f" {LONGEST_LEASE:,}"
    )


def check_count(key: str, value: object, default: str | None = None) -> None:
    """Refuse what is no number of things.

    Args:
        key: where it was given.
        value: what was given.
        default: what null stands for, if it may be null.

    Raises:
        InputError: with what is allowed.
    """
    if value is None and default is not None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        null = f", or null: {default}" if default is not None else ""
        raise InputError(f"{key}={value}: should be an integer of at least 1{null}")
