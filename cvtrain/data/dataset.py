"""A data set: three checked splits of complex inputs with a task; and a cache of data sets."""

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, get_args

import torch
from torch import Tensor

from cvtrain.data.split import AnySplit, Split, unless_equal
from cvtrain.gradients.losses import IGNORED, TaskName

T = TypeVar("T")


@dataclass(frozen=True)
class Reference:
    """A known result with which trained networks are compared.

    Attributes:
        tag: tag of the same quantity of a run, e.g. ``test/accuracy``.
        name: method that reaches it, e.g. ``maximum likelihood``.
        value: the number.
    """

    tag: str
    name: str
    value: float


# eq=False: tensors have no single truth value, so fields cannot be compared.
@dataclass(frozen=True, eq=False)
class Dataset:
    """A task with its data, which are checked at construction.

    Attributes:
        train: samples to which weights are fitted.
        validation: samples on which learning rates are chosen.
        test: samples that are measured once, at the end.
        task: classification or regression; determines the kind of the targets, see `Split`.
        out_features: number of classes, or of regression outputs (at each position).
        solution: optimal weights by parameter name, if they are known.
        alphabet: symbols [S], complex, if every target of a regression is one of these.
        class_names: names of the classes, if they have any.
        references: known bounds, and results that are reached without learning.
        scales: number by which `inputs` and `targets` were divided, if they were; with several
            inputs the keys are `inputs[0]`, `inputs[1]`, ….
        first: first sample of `train`, with which all samples are compared.
        weighted: whether samples of any split have different weights.

    Raises:
        ValueError: a split is empty, has unequal numbers of inputs and targets, or holds NaN or
            infinity; inputs are not complex, or differ in shape or dtype from those of `train`;
            targets do not fit the task or the alphabet; or weights are negative or all zero. Of
            samples on disk only the first one of each split is checked here; the engines check the
            others when they read them.
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
    scales: Mapping[str, float] = field(default_factory=dict)
    first: Split = field(init=False, repr=False)
    weighted: bool = field(init=False, repr=False, default=False)

    def __post_init__(self) -> None:
        if self.task not in get_args(TaskName):
            raise ValueError(f"task={self.task}: should be one of {', '.join(get_args(TaskName))}")
        if self.class_names and len(self.class_names) != self.out_features:
            names = len(self.class_names)
            raise ValueError(f"class_names: {names} names, should be {self.out_features}")
        if len(self.train) == 0:
            raise ValueError("train split: should hold samples, is empty")
        # The sample with which all others are compared; set in this way because the class is
        # frozen.
        object.__setattr__(self, "first", self.train.take(torch.arange(1)))
        for name in ("train", "validation", "test"):
            split: AnySplit = getattr(self, name)
            if len(split) == 0:
                raise ValueError(f"{name} split: should hold samples, is empty")
            checked = split if isinstance(split, Split) else split.take(torch.arange(1))
            problem = self.problem(checked)
            if problem is not None:
                raise ValueError(f"{name} split: {problem}")
            if isinstance(split, Split) and split.weights is not None:
                if not split.weights.any():
                    raise ValueError(f"{name} split: weights should not all be zero")
                checked = replace(split, weights=unless_equal(split.weights))
                object.__setattr__(self, name, checked)
            if checked.weights is not None:
                object.__setattr__(self, "weighted", True)

    @property
    def input_shape(self) -> torch.Size | tuple[torch.Size, ...]:
        """Shape of an input, or a tuple of the shapes of several inputs."""
        return self._of_inputs(lambda x: x.shape[1:])

    @property
    def positions(self) -> torch.Size:
        """Shape of the positions of an input that have a target each; empty if an input has a
        single target."""
        return self.first.targets.shape[1 if self.task == "classification" else 2 :]

    @property
    def aim(self) -> str:
        """The task in words, e.g. ``classification onto 4``, with the positions that have targets
        and whether the values of a regression are real."""
        real = self.task == "regression" and not self.first.targets.is_complex()
        positions = "×".join(map(str, self.positions))
        return (
            f"{self.task} onto {self.out_features}{' real values' * real}"
            f"{f' at each of {positions} positions' * bool(positions)}"
        )

    @property
    def in_features(self) -> int | tuple[int, ...]:
        """Number of entries of an input, flattened, or a tuple for several inputs."""
        return self._of_inputs(lambda x: math.prod(x.shape[1:]))

    @property
    def entries(self) -> int:
        """Number of entries of all inputs of a sample."""
        return sum(math.prod(x.shape[1:]) for x in self.first.each_input)

    def _of_inputs(self, function: Callable[[Tensor], T]) -> T | tuple[T, ...]:
        values = tuple(map(function, self.first.each_input))
        return values if isinstance(self.first.inputs, tuple) else values[0]

    def problem(self, split: Split) -> str | None:
        """Describe what is wrong with samples of this data set; None if they are valid."""
        expected, targets, count = self.first.each_input, split.targets, len(split)
        if len(split.each_input) != len(expected):
            return f"{len(split.each_input)} inputs, should be {len(expected)} as in train"
        for number, (inputs, reference) in enumerate(zip(split.each_input, expected, strict=True)):
            name = f"inputs[{number}]" if isinstance(split.inputs, tuple) else "inputs"
            problem = _input_problem(name, inputs, reference, count)
            if problem is not None:
                return problem
        precision = expected[0].dtype
        if split.weights is not None:
            problem = _weight_problem(split.weights, (count,), precision.to_real())
            if problem is not None:
                return problem
        if self.task == "classification":
            return self._label_problem(targets, count)
        wanted = (count, self.out_features, *self.positions)
        is_complex = self.first.targets.is_complex()
        dtype = precision if is_complex else precision.to_real()
        if targets.shape != wanted or targets.dtype != dtype:
            return (
                f"targets are {targets.dtype} of shape {list(targets.shape)},"
                f" should be {dtype} of shape {list(wanted)}"
            )
        if not torch.isfinite(targets).all():
            return "targets should be finite, hold NaN or infinity"
        alphabet = self.alphabet
        if alphabet is not None and not (targets.unsqueeze(-1) == alphabet).any(dim=-1).all():
            return "targets should all be of the alphabet"
        return None

    def _label_problem(self, labels: Tensor, samples: int) -> str | None:
        wanted = (samples, *self.positions)
        if labels.shape != wanted or labels.dtype != torch.int64:
            return (
                f"labels are {labels.dtype} of shape {list(labels.shape)},"
                f" should be torch.int64 of shape {list(wanted)}"
            )
        labels = labels[labels != IGNORED]
        if not len(labels):
            return "there is no label, should be one at least"
        lowest, highest = int(labels.min()), int(labels.max())
        if lowest < 0 or highest >= self.out_features:
            return f"labels span {lowest} to {highest}, should be 0 to {self.out_features - 1}"
        return None


def _input_problem(name: str, inputs: Tensor, reference: Tensor, count: int) -> str | None:
    if not inputs.is_complex():
        return f"{name} are {inputs.dtype}, should be complex"
    if inputs.dtype != reference.dtype or inputs.shape[1:] != reference.shape[1:]:
        return (
            f"{name} are {inputs.dtype} of shape {list(inputs.shape[1:])},"
            f" should be {reference.dtype} of shape {list(reference.shape[1:])} as in train"
        )
    if len(inputs) != count:
        return f"{name} are of {len(inputs)} samples, should be of {count}"
    return (
        None if torch.isfinite(inputs).all() else f"{name} should be finite, hold NaN or infinity"
    )


def _weight_problem(weights: Tensor, wanted: tuple[int, ...], dtype: torch.dtype) -> str | None:
    if weights.shape != wanted or weights.dtype != dtype:
        return (
            f"weights are {weights.dtype} of shape {list(weights.shape)},"
            f" should be {dtype} of shape {list(wanted)}"
        )
    if not (torch.isfinite(weights) & (weights >= 0)).all():
        return "weights should be finite and not negative"
    return None


class DatasetCache:
    """Cache of the data sets used last: up to `most_bytes`, and always the last one.

    Args:
        most_bytes: limit for inputs and targets in memory, in bytes; samples on disk do not count.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._datasets: dict[Hashable, Dataset] = {}

    def get(self, key: Hashable, build: Callable[[], Dataset]) -> Dataset:
        """Return the data set of `key`, built if it is not in the cache."""
        # A dictionary keeps its order: the data set used last is moved to the end.
        if key in self._datasets:
            self._datasets[key] = self._datasets.pop(key)
        else:
            self._datasets[key] = build()
            while len(self._datasets) > 1 and self._bytes() > self._most_bytes:
                del self._datasets[next(iter(self._datasets))]
        return self._datasets[key]

    def clear(self) -> None:
        """Remove all data sets."""
        self._datasets.clear()

    def _bytes(self) -> int:
        return sum(map(bytes_in_memory, self._datasets.values()))


def bytes_in_memory(dataset: Dataset) -> int:
    """Size in bytes of the inputs and targets that are in memory."""
    splits = (dataset.train, dataset.validation, dataset.test)
    return sum(t.nbytes for s in splits if isinstance(s, Split) for t in s.tensors)
