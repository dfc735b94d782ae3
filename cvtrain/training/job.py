"""The unit of training: one run, or the runs of a stack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cvtrain.config.point import Point
from cvtrain.runs.run_json import Engine
from cvtrain.training.module_state import RunState
from cvtrain.training.stack import alignment
from cvtrain.training.task import Task


@dataclass(frozen=True)
class Job:
    """Points to train in lock step, and the directory that holds their run directories.

    Attributes:
        points: the points; those of a stack fit together (`cvtrain.training.stacking.common_part`).
        engine: `single` takes one point.
        multiple: number to a multiple of which the stack is filled up; None: the one with which no
            run's bits depend on the others (`cvtrain.training.stack.alignment`).
        earlier: states of the points in their checkpoints, all of one step; empty: training starts
            at step 0.
        reason: why the points are trained singly although they might have been stacked.
        task: task of all points; None: made from the first point.
    """

    points: tuple[Point, ...]
    root: Path
    engine: Engine = "single"
    multiple: int | None = None
    earlier: tuple[RunState, ...] = ()
    reason: str | None = None
    task: Task = None  # type: ignore[assignment]  # never None once it is made

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError("a job trains at least one point")
        if self.engine == "single" and len(self.points) != 1:
            raise ValueError(f"the single engine trains one point, not {len(self.points)}")
        if self.task is None:
            object.__setattr__(self, "task", Task(self.points[0].config))

    @property
    def size_multiple(self) -> int:
        """The number to a multiple of which the stack is filled up."""
        return self.multiple or alignment(self.task)
