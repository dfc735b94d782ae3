"""Patchworks of regions seen by a polarimetric radar, with what each pixel tells by itself."""

import cmath
import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cvtrain.config.argument_checks import check_integer
from cvtrain.data.arguments import ComplexDtype, Count, Seed, check_names, checked_arguments
from cvtrain.data.dataset import Dataset, Reference
from cvtrain.data.random import ComplexArray, complex_gaussian, data_generator
from cvtrain.data.split import Split

OPPOSED = cmath.rect(0.30, math.radians(160))

COVARIANCES: dict[str, ComplexArray] = {
    name: np.array(matrix, dtype=np.complex128)
    for name, matrix in {
        # Nearly a mirror: weak, HH and VV in phase, VV the stronger.
        "water": [[0.18, 0, 0.18], [0, 0.02, 0], [0.18, 0, 0.30]],
        # A single bounce for the most part: HH and VV in phase.
        "soil": [[0.45, 0, 0.30], [0, 0.10, 0], [0.30, 0, 0.45]],
        # A double bounce, from ground and wall: HH and VV nearly in opposite phase, by 160°.
        "buildings": [[0.45, 0, OPPOSED], [0, 0.10, 0], [OPPOSED.conjugate(), 0, 0.45]],
        # Thin dipoles in all directions: the volume of Freeman and Durden (1998, IEEE TGRS 36:963).
        "forest": [[3 / 8, 0, 1 / 8], [0, 2 / 8, 0], [1 / 8, 0, 3 / 8]],
    }.items()
}
"""E kkᴴ of k = (HH, √2 HV, VV) by class, Hermitian and positive definite.

The trace, or span, is the total power: ½ for water, 1 for the others. Soil and buildings have one
diagonal: nothing but the phase between HH and VV tells them apart.
"""


@checked_arguments
def speckle(
    *,
    seed: Seed = 0,
    classes: tuple[str, ...] = ("water", "soil", "buildings", "forest"),
    size: Count = 32,
    regions: Count = 12,
    train_samples: Count = 300,
    validation_samples: Count = 100,
    test_samples: Count = 100,
    dtype: ComplexDtype,
) -> Dataset:
    """Segmentation of single-look scenes: what class is the region that a pixel is of?

    A scene is a square, cut into the Voronoi cells of points that are uniform in it: a pixel is of
    the region whose point is nearest. The class of each region is uniform too, and that of one
    tells nothing of the others. Given the classes the pixels k are independent, zero-mean circular
    complex Gaussian with the covariance Σ of their class: fully developed speckle,

        p(k) = exp(−kᴴ Σ⁻¹ k) / (π³ det Σ).

    Lee and Pottier 2009, Polarimetric radar imaging, chapter 4; Goodman 1963. The share of test
    pixels that `maximum_likelihood` is right about stands in the references: no classifier that is
    shown one pixel at a time is better, up to the chance of a finite test split. One that looks at
    neighbours can be, since they are mostly of one region.

    Args:
        seed: of the random regions, classes and speckle.
        classes: at least two different names in `COVARIANCES`, in the order of the labels.
        size: rows and columns of a scene.
        regions: points per scene, from 1 to size²; one without a pixel is not seen.
        train_samples: scenes for training.
        validation_samples: scenes for validation.
        test_samples: scenes for test.
        dtype: complex64 or complex128, of inputs `[N, 3, size, size]`, the channels being HH, √2 HV
            and VV; targets are labels `[N, size, size]` int64.

    Raises:
        ValueError: an argument is out of range.
    """
    covariances = _covariances(classes)
    check_integer("regions", regions, minimum=1, maximum=size**2)
    generator = data_generator(seed)

    def split(samples: int) -> Split:
        # All of it before the first scene: what there is no memory for is told at once.
        labels = np.empty((samples, size, size), dtype=np.int64)
        k = np.empty((*labels.shape, 3), dtype=np.complex128)
        for scene in labels:
            scene[:] = _scene(generator, len(classes), size, regions)
        u = complex_gaussian(generator, k.shape)
        for label, covariance in enumerate(covariances):
            # Σ = LLᴴ, so that E kkᴴ = Σ for k = Lu.
            k[labels == label] = u[labels == label] @ np.linalg.cholesky(covariance).T
        return Split(torch.from_numpy(k).movedim(-1, 1).contiguous(), torch.from_numpy(labels))

    train, validation, test = map(split, (train_samples, validation_samples, test_samples))
    right = maximum_likelihood(test.each_input[0], classes) == test.targets
    share = right.double().mean().item()
    train, validation, test = (
        split.of([split.each_input[0].to(dtype), split.targets])
        for split in (train, validation, test)
    )
    return Dataset(
        train,
        validation,
        test,
        task="classification",
        out_features=len(classes),
        class_names=tuple(classes),
        references=(Reference("test/accuracy", "maximum likelihood, each pixel by itself", share),),
    )


def maximum_likelihood(scenes: Tensor, classes: tuple[str, ...]) -> Tensor:
    """The most likely class of each pixel by itself, from the covariances of the classes.

    It maximises log p(k) = −kᴴ Σ⁻¹ k − log det Σ − 3 log π over the classes, each with its Σ.

    Kong et al. 1988, Identification of terrain cover using the optimum polarimetric classifier.

    Args:
        scenes: pixels k `[N, 3, H, W]`, complex.
        classes: names in `COVARIANCES`.

    Returns:
        Labels `[N, H, W]` int64, indices of `classes`.

    Raises:
        ValueError: a class is unknown, or there are fewer than two.
    """
    k = scenes.to(torch.complex128)
    scores = []
    for covariance in torch.from_numpy(_covariances(classes)):
        # |L⁻¹k|² = kᴴ Σ⁻¹ k, and det Σ = |det L|².
        whitening = torch.linalg.inv(torch.linalg.cholesky(covariance))
        white = torch.einsum("ij,njhw->nihw", whitening, k)
        scores.append(2 * torch.linalg.slogdet(whitening)[1] - white.abs().square().sum(dim=1))
    return torch.stack(scores).argmax(dim=0)


def _scene(
    generator: np.random.Generator, classes: int, size: int, regions: int
) -> npt.NDArray[np.int64]:
    """Labels [size, size]. The plane is that of the complex numbers, a pixel has side 1."""
    real, imaginary = generator.uniform(0, size, (2, regions))
    middles = np.arange(size) + 0.5
    pixels = middles[:, None] + 1j * middles
    nearest = np.abs(pixels[..., None] - (real + 1j * imaginary)).argmin(axis=-1)
    labels: npt.NDArray[np.int64] = generator.integers(classes, size=regions)[nearest]
    return labels


def _covariances(classes: tuple[str, ...]) -> ComplexArray:
    """[classes, 3, 3]."""
    check_names("classes", classes, COVARIANCES)
    return np.stack([COVARIANCES[name] for name in classes])
