"""Reconstruct images of fully sampled k-space from undersampled k-space of the same scan."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from cvtrain.data.arguments import ComplexDtype, Count, Seed, checked_arguments
from cvtrain.data.dataset import Dataset, Reference
from cvtrain.data.kspace import EXAMPLE, central, read_kspace, to_images
from cvtrain.data.random import complex_gaussian, data_generator, whole_groups
from cvtrain.data.split import Split

Acceleration = Annotated[float, Field(gt=1, strict=True, allow_inf_nan=False)]


@checked_arguments
def mri_undersampled(
    *,
    path: str = EXAMPLE,
    seed: Seed = 0,
    size: Count = 24,
    acceleration: Acceleration = 3.0,
    centre: Count = 6,
    train_samples: Count = 256,
    validation_samples: Count = 64,
    test_samples: Count = 128,
    dtype: ComplexDtype,
) -> Dataset:
    """Reconstruction of a fully sampled image from a part of its k-space.

    The central `size` × `size` square of k-space must be fully sampled. A sample is the image of a
    virtual coil, a sum of coils with random circular Gaussian weights; since reception is linear, a
    coil in another position could have received it. The input is the image of the entries of
    k-space that a random mask keeps, with zeros elsewhere; the target is the image of all entries.
    Both are divided by the root mean square modulus of the input. A mask keeps `size`² /
    `acceleration` entries: the central `centre` × `centre` square, and others drawn with a density
    proportional to 1/(1 + |k|²/centre²).

    60 % of the coils are used for training, 20 % each for validation and test; no training sample
    contains a test coil. All coils see one slice of one head, so the test error is that of another
    coil, not of another person. The report compares with the input itself (zero filling).

    Args:
        path: file of k-space `[coils, rows, columns]` with at least three coils, in a form that
            `cvtrain.data.kspace.read_kspace` reads.
        seed: seed of the random assignment of coils to splits, of the sums and of the masks.
        size: number of pixels along a side.
        acceleration: factor above 1 by which k-space is undersampled.
        centre: number of entries along a side of the square that every mask keeps.
        train_samples: number of training samples.
        validation_samples: number of validation samples.
        test_samples: number of test samples.
        dtype: complex64 or complex128, for inputs `[N, size, size]` and targets
            `[N, 1, size, size]`.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file holds no such k-space, the square is not fully sampled, or an argument
            is out of range.
    """
    kspace = central(read_kspace(path), size)
    if not kspace.any(axis=0).all():
        sampled = kspace.any(axis=0).mean()
        raise ValueError(
            f"size={size}: should be smaller; of the central {size}×{size} places of {path}"
            f" {sampled:.0%} are sampled, not all"
        )
    kept = round(size**2 / acceleration)
    if not centre**2 < kept < size**2:
        raise ValueError(
            f"acceleration={acceleration}: should keep more than centre² = {centre**2} of"
            f" {size**2} places, and not all; it keeps {kept}"
        )
    generator = data_generator(seed)
    groups = whole_groups("coils", len(kspace), generator)
    counts = (train_samples, validation_samples, test_samples)

    def split(coils: np.ndarray, count: int) -> Split:
        weights = complex_gaussian(generator, (count, len(coils)))
        whole = np.einsum("nc,cij->nij", weights, kspace[coils])
        masks = np.stack([_mask(generator, size, kept, centre) for _ in range(count)])
        x, y = to_images(whole * masks), to_images(whole)
        rms = np.sqrt(np.mean(np.abs(x) ** 2, axis=(1, 2), keepdims=True))
        return Split(*(torch.from_numpy(z).to(dtype) for z in (x / rms, (y / rms)[:, None])))

    train, validation, test = (split(*one) for one in zip(groups, counts, strict=True))
    error = (test.targets[:, 0] - test.each_input[0]).abs().square().sum()
    nmse = float(error / test.targets.abs().square().sum())
    return Dataset(
        *(train, validation, test),
        task="regression",
        out_features=1,
        references=(Reference("test/nmse", "zero filling", nmse),),
    )


def _mask(
    generator: np.random.Generator, size: int, kept: int, centre: int
) -> npt.NDArray[np.float64]:
    """A random mask [size, size] of zeros and `kept` ones, denser at the centre."""
    k = np.arange(size) - size // 2
    rows, columns = np.meshgrid(k, k, indexing="ij")
    density = 1 / (1 + (rows**2 + columns**2) / centre**2)
    inner = slice(size // 2 - centre // 2, size // 2 - centre // 2 + centre)
    mask = np.zeros((size, size))
    mask[inner, inner] = 1
    density[inner, inner] = 0
    outer = density.ravel() / density.sum()
    drawn = generator.choice(size**2, kept - centre**2, replace=False, p=outer)
    mask.ravel()[drawn] = 1
    return mask
