"""Adapter from the image files of torchcvnn's data sets to `Dataset`.

A reader knows the format of one data set: it returns images and targets by sample number
(`Samples`). `image_dataset` brings the images to one size and one scale and makes the three splits,
which stay on disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cvtrain.data.arguments import Amplitude
from cvtrain.data.dataset import Dataset
from cvtrain.data.file_errors import reading
from cvtrain.data.random import Parts
from cvtrain.data.split import FileSplit, Samples

MEASURED = 100
"""Number of evenly spaced training images whose mean square modulus sets the scale."""

LARGEST = 1e18
"""Largest valid modulus. The square of a larger one overflows complex64: the image is damaged."""


def finite(image: npt.NDArray[Any]) -> Tensor:
    """Convert a complex image to a tensor in complex128.

    Raises:
        ValueError: the image is real, or holds NaN, infinity or a modulus above `LARGEST`.
    """
    if not np.iscomplexobj(image):
        raise ValueError(f"it holds {image.dtype}, should be complex numbers")
    if not np.isfinite(image).all():
        raise ValueError("it holds NaN or infinity")
    largest = np.abs(image).max(initial=0)
    if largest > LARGEST:
        raise ValueError(f"it holds a modulus of {largest:.2g}, more than any measurement has")
    # A copy: an array from a file may be read-only.
    return torch.from_numpy(np.array(image, dtype=np.complex128, order="C"))


@dataclass(frozen=True)
class LabelledFiles:
    """Reader of a data set with one file per image.

    Attributes:
        files: files of the images.
        labels: class of each image.
        read: function that reads the complex image [C, H, W] of a file.
    """

    files: tuple[Path, ...]
    labels: tuple[int, ...]
    read: Callable[[Path], npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, sample: int) -> tuple[Tensor, Tensor]:
        file = self.files[sample]
        with reading(file):
            return finite(self.read(file)), torch.tensor(self.labels[sample])


def resized(image: Tensor, crop: int, size: int | None = None) -> Tensor:
    """Cut the central square out of an image and resize it through its spectrum.

    Args:
        image: [C, H, W], complex128.
        crop: side of the square in pixels; zeros are added around a smaller image.
        size: side after resizing in pixels; None: no resizing.
    """
    from torchcvnn.transforms import CenterCrop, FFTResize, PadIfNeeded

    image = CenterCrop(crop, crop)(PadIfNeeded(crop, crop)(image))
    if size is not None:
        image = FFTResize((size, size), scale=True, dtype="complex128")(image)
    return image


@dataclass(frozen=True, eq=False)
class ScaledImages:
    """Images of one size and scale with their targets.

    Attributes:
        samples: reader of images [C, H, W] in complex128, and of targets.
        crop, size: as for `resized`; crop None keeps the size of the files.
        divisor: number by which all images are divided.
        amplitude: `log` compresses moduli; see `image_dataset`.
        dtype: complex64 or complex128: dtype of the images.
    """

    samples: Samples
    crop: int | None = None
    size: int | None = None
    divisor: float = 1.0
    amplitude: Amplitude = "linear"
    dtype: torch.dtype = torch.complex128

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, sample: int) -> tuple[Tensor, Tensor]:
        image, target = self.samples[sample]
        if self.crop is not None:
            image = resized(image, self.crop, self.size)
        image = image / self.divisor
        if self.amplitude == "log":
            from torchcvnn.transforms import LogAmplitude

            image = LogAmplitude()(image)
        return image.to(self.dtype), target


def image_dataset(
    samples: Samples,
    parts: Parts,
    classes: tuple[str, ...] | int,
    *,
    crop: int | None = None,
    size: int | None = None,
    amplitude: Amplitude,
    workers: int,
    dtype: torch.dtype,
) -> Dataset:
    """Make a data set for the classification of images, or of their pixels, that stay on disk.

    All images are divided by one number, the root mean square modulus of `MEASURED` training
    inputs. With amplitude ``log`` the moduli m of the quotients then become
    log(m/0.02)/log(40/0.02), clipped to [0, 1] (torchcvnn's LogAmplitude), while phases are
    unchanged.

    Args:
        samples: reader of images and labels.
        parts: sample numbers for training, validation and test.
        classes: names of the classes, or their number.
        crop, size, amplitude, dtype: as for `ScaledImages`.
        workers: number of processes that read samples; see `FileSplit`.

    Raises:
        ValueError: a part is empty, an image cannot be read, or all images are zero.
    """
    for name, part in zip(("training", "validation", "test"), parts, strict=True):
        if not len(part):
            raise ValueError(
                f"none of {len(samples)} images is for {name}: a class is too small to be split"
            )
    images, part = ScaledImages(samples, crop, size), parts[0]
    measured = part[np.linspace(0, len(part) - 1, min(MEASURED, len(part))).round().astype(int)]
    powers = [float(images[number][0].abs().square().mean()) for number in measured.tolist()]
    divisor = math.sqrt(sum(powers) / len(powers))
    if divisor == 0:
        raise ValueError("the training images are zero throughout")
    images = replace(images, divisor=divisor, amplitude=amplitude, dtype=dtype)
    train, validation, test = (FileSplit(images, part.tolist(), workers) for part in parts)
    return Dataset(
        train,
        validation,
        test,
        task="classification",
        out_features=classes if isinstance(classes, int) else len(classes),
        class_names=() if isinstance(classes, int) else classes,
    )
