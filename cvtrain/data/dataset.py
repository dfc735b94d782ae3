"""What a data set is: three checked splits of complex inputs, and a task."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

Task = Literal["classification", "regression"]


# Tensors have no single truth value, so neither class can be compared entry by entry: eq=False.
@dataclass(frozen=True, eq=False)
class Split:
    """Inputs and their targets.

    Attributes:
        inputs: `[N, ...]`, complex.
        targets: `[N]` int64 labels (classification) or `[N, out]` complex (regression).
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A task with its data, checked when it is made.

    Attributes:
        train: what the weights are fitted to.
        validation: what learning rates are chosen on.
        test: measured once, at the end.
        task: decides what the targets are, see `Split`.
        out_features: number of classes, or of regression outputs.
        solution: optimal weights by parameter name, where the problem has a known solution.
        alphabet: the symbols [S], complex, that all targets of a regression are, if they are.

    Raises:
        ValueError: a split is empty, has unequal numbers of inputs and targets, holds a NaN or an
            infinity, has inputs that are not complex or not shaped and typed as in `train`, or
            targets that do not fit the task or the alphabet.
    """

    train: Split
    validation: Split
    test: Split
    task: Task
    out_features: int
    solution: Mapping[str, Tensor] = field(default_factory=dict)
    alphabet: Tensor | None = None

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise ValueError(f"task must be one of {', '.join(get_args(Task))}, not {self.task!r}")
        for name in ("train", "validation", "test"):
            problem = self._problem(getattr(self, name))
            if problem is not None:
                raise ValueError(f"{name} split: {problem}")

    @property
    def input_shape(self) -> torch.Size:
        """Shape of one input."""
        return self.train.inputs.shape[1:]

    @property
    def in_features(self) -> int:
        """Entries of one input, flattened."""
        return math.prod(self.input_shape)

    def _problem(self, split: Split) -> str | None:
        """What is wrong with a split, or None."""
        inputs, targets, reference = split.inputs, split.targets, self.train.inputs
        if inputs.ndim == 0 or len(inputs) == 0:
            return "it is empty"
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
        if targets.shape != (len(inputs), self.out_features) or targets.dtype != inputs.dtype:
            return (
                f"targets must be {inputs.dtype} of shape {[len(inputs), self.out_features]}, "
                f"not {targets.dtype} of shape {list(targets.shape)}"
            )
        if not torch.isfinite(targets).all():
            return "targets hold NaN or infinity"
        alphabet = self.alphabet
        if alphabet is not None and not (targets.unsqueeze(-1) == alphabet).any(dim=-1).all():
            return "targets are not all of the alphabet"
        return None

    def _label_problem(self, labels: Tensor, samples: int) -> str | None:
        if labels.shape != (samples,) or labels.dtype != torch.int64:
            return (
                f"labels must be torch.int64 of shape [{samples}], "
                f"not {labels.dtype} of shape {list(labels.shape)}"
            )
        lowest, highest = int(labels.min()), int(labels.max())
        if lowest < 0 or highest >= self.out_features:
            return f"labels span {lowest} to {highest}, allowed are 0 to {self.out_features - 1}"
        return None
