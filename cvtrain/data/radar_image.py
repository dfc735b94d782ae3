"""Radar images as inputs: their size, and the scale of their moduli."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cvtrain.config.argument_checks import check_choice, check_complex_dtype, check_integer
from cvtrain.data.dataset import Dataset
from cvtrain.data.split import FileSplit, Samples
from cvtrain.data.splits import Parts
from cvtrain.process.limits import most_processes

Amplitude = Literal["linear", "log"]

MEASURED = 100
"""Training samples, evenly spaced, whose mean square modulus sets the scale."""


def check_image_arguments(
    seed: int, amplitude: Amplitude, workers: int, dtype: torch.dtype
) -> None:
    """Raise ValueError unless each of what all sets of radar images take is in range."""
    check_integer("seed", seed, minimum=0)
    check_choice("amplitude", amplitude, get_args(Amplitude))
    check_integer("workers", workers, minimum=0, maximum=most_processes())
    check_complex_dtype(dtype)


LARGEST = 1e18
"""Modulus above which an image is taken for damaged: its square leaves complex64."""


def finite(image: npt.NDArray[Any]) -> Tensor:
    """A complex image as a tensor in complex128.

    Raises:
        ValueError: it is real, or holds NaN, infinity or a modulus above `LARGEST`.
    """
    if not np.iscomplexobj(image):
        raise ValueError(f"it holds {image.dtype}, not complex numbers")
    if not np.isfinite(image).all():
        raise ValueError("it holds NaN or infinity")
    largest = np.abs(image).max(initial=0)
    if largest > LARGEST:
        raise ValueError(f"it holds a modulus of {largest:.2g}, more than any measurement has")
    # A copy: an array of a file may be read only.
    return torch.from_numpy(np.array(image, dtype=np.complex128, order="C"))


@dataclass(frozen=True)
class Sized:
    """Images of one size.

    Attributes:
        crop: pixels of the central square that is kept; zeros are added around a smaller image.
        size: pixels of the square that it is resized to through its spectrum; None: as cropped.

    Raises:
        ValueError: one of them is not a positive integer.
    """

    crop: int
    size: int | None = None

    def __post_init__(self) -> None:
        check_integer("crop", self.crop, minimum=1)
        if self.size is not None:
            check_integer("size", self.size, minimum=1)

    def __call__(self, image: Tensor) -> Tensor:
        """[C, size, size] of an image [C, H, W]."""
        from torchcvnn.transforms import CenterCrop, FFTResize, PadIfNeeded

        image = PadIfNeeded(self.crop, self.crop)(image)
        image = CenterCrop(self.crop, self.crop)(image)
        if self.size is not None:
            image = FFTResize((self.size, self.size), scale=True, dtype="complex128")(image)
        return image


@dataclass(frozen=True, eq=False)
class Scaled:
    """Samples whose inputs are divided by a number, and compressed where `amplitude` is log."""

    samples: Samples
    divisor: float
    amplitude: Amplitude
    dtype: torch.dtype

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, sample: int) -> tuple[Tensor, Tensor]:
        image, target = self.samples[sample]
        image = image / self.divisor
        if self.amplitude == "log":
            from torchcvnn.transforms import LogAmplitude

            image = LogAmplitude()(image)
        return image.to(self.dtype), target


def radar_dataset(
    samples: Samples,
    parts: Parts,
    *,
    classes: int,
    class_names: tuple[str, ...] = (),
    amplitude: Amplitude,
    workers: int,
    dtype: torch.dtype,
) -> Dataset:
    """Classification of radar images that stay on disk, or of their pixels.

    All images are divided by one number, the root mean square modulus of `MEASURED` inputs of the
    training part. With amplitude ``log`` the quotients' moduli m then become log(m/0.02) /
    log(40/0.02), cut off at 0 and 1 (torchcvnn's LogAmplitude), and their phases stay.

    Raises:
        ValueError: a part is empty, an image cannot be read, or they are all zero.
    """
    for name, part in zip(("training", "validation", "test"), parts, strict=True):
        if not len(part):
            raise ValueError(
                f"none of {len(samples)} images is for {name}: a class is too small to be split"
            )
    train = parts[0]
    places = np.linspace(0, len(train) - 1, min(MEASURED, len(train))).round().astype(int)
    divisor = root_mean_square(samples, train[places].tolist())
    scaled = Scaled(samples, divisor, amplitude, dtype)
    splits = [FileSplit(scaled, part.tolist(), workers) for part in parts]
    return Dataset(
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        task="classification",
        out_features=classes,
        class_names=class_names,
    )


def root_mean_square(samples: Samples, chosen: Sequence[int]) -> float:
    """√ of the mean of |x|² over all entries of the chosen inputs.

    Raises:
        ValueError: one cannot be read, or they are all zero.
    """
    means = [float(samples[number][0].abs().square().mean()) for number in chosen]
    found = math.sqrt(sum(means) / len(means))
    if found == 0:
        raise ValueError("the training images are zero throughout")
    return found
