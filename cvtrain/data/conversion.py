"""Convert stored arrays to tensors: complex inputs, and targets whose kind is recognised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BeforeValidator, SkipValidation
from pydantic_core import PydanticCustomError
from torch import Tensor

from cvtrain.data.array_files import Array, Stored, everything
from cvtrain.data.transforms import TRANSFORMS
from cvtrain.gradients.losses import IGNORED, TaskName

TransformName: TypeAlias = Literal["fft", "fft2", "stft", "analytic"]
Transform: TypeAlias = TransformName | Callable[[Array], Any]
"""A name in `TRANSFORMS`, or a function that maps one sample [...] in double precision to
another."""
WINDOW = 64


def _transforms(value: Any) -> Any:
    transforms = value if isinstance(value, list | tuple) and value else [value]
    if any(one is not None and one not in TRANSFORMS and not callable(one) for one in transforms):
        names = ", ".join(TRANSFORMS)
        raise PydanticCustomError(
            "transform", f"Input should be one of {names}, or a function, as in mypackage.f"
        )
    return value


Transforms: TypeAlias = Annotated[
    Transform | Sequence[Transform | None] | None, SkipValidation, BeforeValidator(_transforms)
]
"""Argument `transform`: one value for all inputs, or a list with one value per input."""


def of_each(argument: str, value: Any, count: int) -> list[Any]:
    """One value for each of `count` inputs, from a single value or a list.

    Raises:
        ValueError: the list has another length.
    """
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{argument}: {len(value)} in a list should be {count}, one for each input"
        )
    return list(value)


@dataclass(frozen=True)
class Preparation:
    """Converts stored inputs to complex tensors.

    Attributes:
        dtype: complex64 or complex128: dtype of the result, which is computed in complex128.
        transform: transform of the inputs; None: none.
        window: window length of the short-time Fourier transform.
        scale: number by which inputs are divided.
    """

    dtype: torch.dtype
    transform: Transform | None = None
    window: int = WINDOW
    scale: float = 1.0

    @classmethod
    def of_inputs(
        cls, dtype: torch.dtype, transform: Transforms, window: int, count: int
    ) -> list[Preparation]:
        """The preparation of each of `count` inputs.

        Raises:
            ValueError: the number of transforms differs from `count`, or `window` is set without
                stft.
        """
        transforms = of_each("transform", transform, count)
        if window != WINDOW and "stft" not in transforms:
            raise ValueError(f"window={window}: should come with transform=stft")
        return [cls(dtype, one, window) for one in transforms]

    def __call__(self, stored: Array) -> Tensor:
        """Convert stored arrays [n, ...] to inputs [n, ...]. Real numbers get the imaginary part 0;
        numbers [n] become [n, 1].

        Raises:
            ValueError: the arrays lack the axes that `transform` needs, or it does not return an
                array of numbers.
        """
        x = np.asarray(stored)
        if self.transform is not None and not isinstance(self.transform, str):
            x = _of_samples(self.transform, x)
        x = x.astype(np.complex128).reshape(len(x), *(x.shape[1:] or (1,)))
        if isinstance(self.transform, str):
            axes = 2 if self.transform == "fft2" else 1
            if x.ndim <= axes:
                raise ValueError(
                    f"transform={self.transform}: should be of inputs with {axes} axes or more"
                )
            x = TRANSFORMS[self.transform](x, self.window)
        return torch.from_numpy(np.ascontiguousarray(x / self.scale)).to(self.dtype)


def _of_samples(function: Callable[[Array], Any], x: Array) -> Array:
    """Apply a function to each sample separately: no result depends on samples that are read
    together."""
    precise = x.astype(np.result_type(x, np.float64))
    made = [np.asarray(function(sample)) for sample in precise]
    if any(one.dtype.kind not in "biufc" for one in made):
        raise ValueError(f"transform: should return an array of numbers, returns {made[0].dtype}")
    shapes = sorted({one.shape for one in made})
    if len(shapes) > 1:
        raise ValueError(
            f"transform: samples should have one shape, have {list(shapes[0])}, {list(shapes[1])}"
        )
    return np.stack(made)


@dataclass(frozen=True)
class Targets:
    """The kind of stored targets, and their conversion to tensors.

    Attributes:
        task: classification or regression.
        out_features: number of classes, or of regression outputs.
        dtype: dtype of the targets.
        labels: stored label of each class if labels are renumbered; None if they are 0, 1, ….
        class_names: names of the classes.
        scale: number by which the values of a regression are divided, in double precision.
    """

    task: TaskName
    out_features: int
    dtype: torch.dtype
    labels: npt.NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    scale: float = 1.0

    def __call__(self, stored: Array) -> Tensor:
        """Convert stored targets to tensors [n, ...]; in a regression numbers [n] become [n, 1]."""
        y = np.asarray(stored)
        if self.task == "regression" and y.ndim == 1:
            y = y[:, None]
        if self.labels is not None:
            y = np.where(y == IGNORED, IGNORED, np.searchsorted(self.labels, y))
        if self.scale != 1:
            y = y.astype(np.result_type(y, np.float64)) / self.scale
        return torch.from_numpy(np.ascontiguousarray(y)).to(self.dtype)


def recognised(
    targets: Sequence[Stored],
    dtype: torch.dtype,
    task: TaskName | None = None,
    relabel: bool | None = False,
    whole_are_labels: bool = False,
) -> Targets:
    """Recognise the kind of targets: whole numbers are labels, other numbers the values of a
    regression.

    Args:
        targets: targets of every split, or the same arrays; all have one dtype.
        dtype: complex64 or complex128, which sets the precision of a regression.
        task: classification or regression; None: recognised.
        relabel: whether to number labels 0, 1, … in ascending order; None: the caller has no such
            argument.
        whole_are_labels: whether floating-point numbers without fraction are labels, as MATLAB
            stores them.

    Raises:
        ValueError: labels are not whole numbers, are not 0, 1, …, C − 1, or belong to fewer than
            two classes; or `relabel` is set and the targets are no labels.
    """
    arrays = {id(stored): stored for stored in targets}.values()
    kinds = {stored.dtype.kind for stored in arrays}
    whole = kinds <= set("biu")
    if not whole and kinds <= set("biuf") and (whole_are_labels or task == "classification"):
        whole = all(bool((y == np.round(y)).all()) for y in map(everything, arrays))
    task = task or ("classification" if whole else "regression")
    first = targets[0]
    if task == "regression":
        if relabel:
            raise ValueError("relabel=true: should be false, as the targets are no labels")
        is_complex = "c" in kinds
        out = first.shape[1] if len(first.shape) > 1 else 1
        return Targets(task, out, dtype if is_complex else dtype.to_real())
    if not whole:
        raise ValueError("task=classification: targets should be whole numbers, the labels")
    values = np.unique(np.concatenate([np.unique(everything(stored)) for stored in arrays]))
    labels = values[values != IGNORED].astype(np.int64)
    if len(labels) < 2:
        raise ValueError(f"targets: labels {_listed(labels)} should be of two classes or more")
    if np.array_equal(labels, np.arange(len(labels))):
        return Targets(task, len(labels), torch.int64)
    if not relabel:
        fault = f"targets: labels {_listed(labels)} should be 0 to {len(labels) - 1}"
        if relabel is None:
            raise ValueError(fault)
        mapped = ", ".join(f"{label}→{new}" for new, label in enumerate(labels[:6]))
        more = ", …" if len(labels) > 6 else ""
        raise ValueError(f"{fault}; data.relabel=true maps {mapped}{more}")
    return Targets(task, len(labels), torch.int64, labels, tuple(map(str, labels)))


def _listed(labels: npt.NDArray[Any]) -> str:
    shown = ", ".join(map(str, labels[:6]))
    return f"{shown}, …, {labels[-1]}" if len(labels) > 6 else shown or "(none)"
