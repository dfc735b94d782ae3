"""What trains jobs, several at a time, wherever that is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

from cvtrain.process.errors import InputError
from cvtrain.runs.run_json import RunRecord
from cvtrain.training.job import Job

Outcome = list[RunRecord] | BaseException
"""Of a job: the records of its runs, or what ended it: `WorkerLost`, `Interrupted` (its runs are
saved at a step), `StorageFailed`, or the failure of its runs."""


LONGEST_LEASE = 86_400


class WorkerLost(Exception):
    """What trained a job was killed, or died; its runs go on from their last checkpoint."""


class Executor(ABC):
    """Trains jobs between ``with`` and its end, which nothing that trains outlives.

    Attributes:
        workers: how many jobs it takes at a time.
        sharing: how many of them share the memory of one machine.
        here: whether it is this process that trains.
    """

    workers: int = 1
    sharing: int = 1
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
        """Have a job trained; no other that is trained now has its number."""

    @abstractmethod
    def ended(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Numbers and outcomes of jobs that have ended, waiting for one at most so long."""

    @abstractmethod
    def interrupt(self) -> None:
        """Ask what is trained now to end its step, save it and leave."""


def check_lease(seconds: object) -> float:
    """The seconds of a lease, which are a number above 0.

    Raises:
        InputError: they are none.
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
