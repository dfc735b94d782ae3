"""What a data set is: three checked splits of complex inputs, and a task."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

import torch
from torch import Tensor

from cvtrain.data.split import AnySplit, Split
from cvtrain.gradients.losses import TaskName

IGNORED = -100
"""The label of what has none: no loss and no metric counts it (torch's `ignore_index`)."""


@dataclass(frozen=True)
class Reference:
    """A number that trained networks are compared with.

    Attributes:
        tag: of the same number of a run, e.g. ``test/accuracy``.
        name: what reaches it, e.g. ``maximum likelihood``.
        value: the number.
    """

    tag: str
    name: str
    value: float


# Tensors have no single truth value, so it cannot be compared entry by entry: eq=False.
@dataclass(frozen=True, eq=False)
class Dataset:
    """A task with its data, checked when it is made.

    Attributes:
        train: what the weights are fitted to.
        validation: what learning rates are chosen on.
        test: measured once, at the end.
        task: decides what the targets are, see `Split`.
        out_features: number of classes, or of regression outputs (at each position).
        solution: optimal weights by parameter name, where the problem has a known solution.
        alphabet: the symbols [S], complex, that all targets of a regression are, if they are.
        class_names: of the classes, where they have names.
        references: what is known that can be reached, or is reached without learning.

    Raises:
        ValueError: a split is empty, has unequal numbers of inputs and targets, holds a NaN or an
            infinity, has inputs that are not complex or not shaped and typed as in `train`, or
            targets that do not fit the task or the alphabet. Of samples on disk, the first of each
            split is looked at; the engines look at the others when they are read (`problem`).
    """

    train: AnySplit
    validation: AnySplit
    test: AnySplit
    task: TaskName
    out_features: int
    solution: Mapping[str, Tensor] = field(default_factory=dict)
    alphabet: Tensor | None = None
    class_names: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    first: Split = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.task not in get_args(TaskName):
            raise ValueError(
                f"task must be one of {', '.join(get_args(TaskName))}, not {self.task!r}"
            )
        if self.class_names and len(self.class_names) != self.out_features:
            raise ValueError(f"{len(self.class_names)} class_names for {self.out_features} classes")
        if len(self.train) == 0:
            raise ValueError("train split: it is empty")
        # What all others are compared with; frozen, so not by assignment.
        object.__setattr__(self, "first", self.train.take(torch.arange(1)))
        for name in ("train", "validation", "test"):
            split: AnySplit = getattr(self, name)
            if len(split) == 0:
                raise ValueError(f"{name} split: it is empty")
            looked_at = split if isinstance(split, Split) else split.take(torch.arange(1))
            problem = self.problem(looked_at)
            if problem is not None:
                raise ValueError(f"{name} split: {problem}")

    @property
    def input_shape(self) -> torch.Size:
        """Shape of one input."""
        return self.first.inputs.shape[1:]

    @property
    def positions(self) -> torch.Size:
        """Shape of the places in an input that have targets of their own; empty where there is one
        target for all of it."""
        return self.first.targets.shape[1 if self.task == "classification" else 2 :]

    @property
    def in_features(self) -> int:
        """Entries of one input, flattened."""
        return math.prod(self.input_shape)

    def problem(self, split: Split) -> str | None:
        """What is wrong with samples of this data set, or None."""
        inputs, targets, reference = split.inputs, split.targets, self.first.inputs
        if not inputs.is_complex():
            return f"inputs must be complex, not {inputs.dtype}"
        if inputs.dtype != reference.dtype or inputs.shape[1:] != self.input_shape:
            return (
                f"inputs are {inputs.dtype} of shape {list(inputs.shape[1:])}, "
                f"those of train {reference.dtype} of shape {list(self.input_shape)}"
            )
        if not torch.isfinite(inputs).all():
            return "inputs hold NaN or infinity"
        if self.task == "classification":
            return self._label_problem(targets, len(inputs))
        wanted = (len(inputs), self.out_features, *self.positions)
        if targets.shape != wanted or targets.dtype != inputs.dtype:
            return (
                f"targets must be {inputs.dtype} of shape {list(wanted)}, "
                f"not {targets.dtype} of shape {list(targets.shape)}"
            )
        if not torch.isfinite(targets).all():
            return "targets hold NaN or infinity"
        alphabet = self.alphabet
        if alphabet is not None and not (targets.unsqueeze(-1) == alphabet).any(dim=-1).all():
            return "targets are not all of the alphabet"
        return None

    def _label_problem(self, labels: Tensor, samples: int) -> str | None:
        wanted = (samples, *self.positions)
        if labels.shape != wanted or labels.dtype != torch.int64:
            return (
                f"labels must be torch.int64 of shape {list(wanted)}, "
                f"not {labels.dtype} of shape {list(labels.shape)}"
            )
        labels = labels[labels != IGNORED]
        if not len(labels):
            return "there is no label"
        lowest, highest = int(labels.min()), int(labels.max())
        if lowest < 0 or highest >= self.out_features:
            return f"labels span {lowest} to {highest}, allowed are 0 to {self.out_features - 1}"
        return None
