"""Patchworks of regions in images of a polarimetric radar, with the best accuracy per pixel."""

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
        # Nearly a mirror: weak, HH and VV in phase, VV stronger.
        "water": [[0.18, 0, 0.18], [0, 0.02, 0], [0.18, 0, 0.30]],
        # Mostly a single bounce: HH and VV in phase.
        "soil": [[0.45, 0, 0.30], [0, 0.10, 0], [0.30, 0, 0.45]],
        # A double bounce, from ground and wall: HH and VV nearly in opposite phase, 160° apart.
        "buildings": [[0.45, 0, OPPOSED], [0, 0.10, 0], [OPPOSED.conjugate(), 0, 0.45]],
        # Thin dipoles in all directions: the volume of Freeman and Durden (1998, IEEE TGRS 36:963).
        "forest": [[3 / 8, 0, 1 / 8], [0, 2 / 8, 0], [1 / 8, 0, 3 / 8]],
    }.items()
}
"""E kkᴴ of k = (HH, √2 HV, VV) by class, Hermitian and positive definite.

The trace, or span, is the total power: ½ for water, 1 for the others. Soil and buildings have the
same diagonal: they differ only in the phase between HH and VV.
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
    """Segmentation of single-look scenes: the class of the region that each pixel belongs to.

    A scene is a square, cut into the Voronoi cells of uniformly distributed points: a pixel belongs
    to the region with the nearest point. The class of each region is uniform and independent of the
    others. Given the classes, the pixels k are independent, zero-mean circular complex Gaussian
    with the covariance Σ of their class (fully developed speckle)::

        p(k) = exp(−kᴴ Σ⁻¹ k) / (π³ det Σ)

    Lee and Pottier 2009, Polarimetric radar imaging, chapter 4; Goodman 1963. The accuracy of
    `maximum_likelihood` on the test pixels is a reference: no classifier that sees one pixel at a
    time is better, up to the chance of a finite test split. A classifier that uses neighbours can
    be better, since neighbours mostly belong to the same region.

    Args:
        seed: seed of the random regions, classes and speckle.
        classes: at least two different names in `COVARIANCES`, in the order of the labels.
        size: rows and columns of a scene.
        regions: number of points per scene, from 1 to size²; a point whose cell has no pixel is not
            visible.
        train_samples: number of scenes for training.
        validation_samples: number of scenes for validation.
        test_samples: number of scenes for test.
        dtype: complex64 or complex128: dtype of inputs `[N, 3, size, size]`, the channels being HH,
        √2 HV
            and VV; targets are labels `[N, size, size]` int64.

    Raises:
        ValueError: an argument is out of range.
    """
    covariances = _covariances(classes)
    check_integer("regions", regions, minimum=1, maximum=size**2)
    generator = data_generator(seed)

    def split(samples: int) -> Split:
        # All of it before the first scene: too little memory is then reported at once.
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

    It maximises log p(k) = −kᴴ Σ⁻¹ k − log det Σ − 3 log π over the classes.

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
    """Labels [size, size] of a scene. Positions are complex numbers, a pixel has side 1."""
    real, imaginary = generator.uniform(0, size, (2, regions))
    middles = np.arange(size) + 0.5
    pixels = middles[:, None] + 1j * middles
    nearest = np.abs(pixels[..., None] - (real + 1j * imaginary)).argmin(axis=-1)
    labels: npt.NDArray[np.int64] = generator.integers(classes, size=regions)[nearest]
    return labels


def _covariances(classes: tuple[str, ...]) -> ComplexArray:
    """Covariances of the classes, [classes, 3, 3]."""
    check_names("classes", classes, COVARIANCES)
    return np.stack([COVARIANCES[name] for name in classes])
