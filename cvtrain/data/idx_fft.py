"""MNIST and Fashion-MNIST: their sources, their four IDX files, and their spectra."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from cvtrain.config.argument_checks import check_integer
from cvtrain.data.dataset import Dataset
from cvtrain.data.idx import find_idx, read_idx
from cvtrain.data.idx_download import download
from cvtrain.data.random import data_generator
from cvtrain.data.split import Split

CLASSES = 10
SIDE = 28
PIECE = 4096
"""Number of images that are transformed at a time: 50 MB in complex128."""

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Order = npt.NDArray[np.intp]
Files: TypeAlias = Literal["all", "test"]
TEST_SHARE = 5
"""With the test files alone, the default is one test image in this many."""


FILES = tuple(
    f"{part}-{content}-ubyte.gz"
    for part in ("train", "t10k")
    for content in ("images-idx3", "labels-idx1")
)


@dataclass(frozen=True)
class Source:
    """The source of a data set with MNIST's four files.

    Attributes:
        name: name of the data set.
        mirrors: addresses of folders that hold the files.
        checksums: published MD5 of each of `FILES`.
        class_names: names of the ten classes, if they have any.
    """

    name: str
    mirrors: tuple[str, ...]
    checksums: tuple[str, ...]
    class_names: tuple[str, ...] = ()


MNIST = Source(
    "MNIST",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    (
        *("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432"),
        *("9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
)
FASHION = Source(
    "Fashion-MNIST",
    (
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    (
        *("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe"),
        *("bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
    (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
)


def idx_fft(
    source: Source,
    path: str,
    fetch: bool,
    files: Files,
    seed: int,
    validation_samples: int,
    train_samples: int | None,
    test_samples: int | None,
    dtype: torch.dtype,
) -> Dataset:
    """Classification of 28×28 images x by their 2-D spectra, divided by one number.

    By Parseval the root mean square modulus of the n training spectra is √(Σ x²/n), with the sum
    over all pixels of all training images: an exact sum of integers under the root.

    Validation and training images are taken from the training files, in a random order in which
    classes are interleaved: validation gets the first `validation_samples`, training the
    `train_samples` after them. So both are stratified (of a class with share s they hold s times
    their size, to within 1 + 10 s samples), the validation images do not depend on `train_samples`,
    and the smaller of two training sets is part of the larger one. Part of the test images is taken
    in the same way, since the first 5000 of MNIST's are easier than the others, as LeCun states.
    Each split keeps the order of the files.

    If the training files are missing, the test files can replace them (``test``): the order is then
    that of their images, and validation, test and training follow each other in it. Errors on such
    splits are not comparable with published ones.

    Args:
        source: source of the files.
        path: folder of the files, relative to the working directory.
        fetch: whether to download missing files.
        files: ``all`` four, or only the two for ``test``.
        seed: seed of the random order.
        validation_samples: number of validation images, at least 1.
        train_samples: number of training images, at least 1; None: all that are left.
        test_samples: number of test images, at least 1; None: all, or a fifth of the test files
            alone.
        dtype: complex64 or complex128: dtype of inputs `[N, 28, 28]`; targets are `[N]` int64.

    Raises:
        OSError: a file cannot be read.
        ValueError: more samples are requested than there are, or a file is missing or not valid.
    """
    folder = Path(path).expanduser()
    published = {
        name: checksum
        for name, checksum in zip(FILES, source.checksums, strict=True)
        if files == "all" or name.startswith("t10k")
    }
    if fetch:
        download(folder, published, source.mirrors)
    _check_complete(folder, source, published)

    test_images, test_labels = _read_pair(folder, "t10k")
    alone = files == "test"
    images, labels = (test_images, test_labels) if alone else _read_pair(folder, "train")
    least = 3 if alone else 2
    if len(labels) < least:
        kind = "test" if alone else "training"
        raise ValueError(
            f"{folder}: number of {kind} images {len(labels)}, should be at least {least}"
        )
    if alone and test_samples is None:
        test_samples = max(1, len(labels) // TEST_SHARE)
    from_same = test_samples or 0 if alone else 0
    for name, samples, most in (
        ("validation_samples", validation_samples, len(labels) - 1 - alone),
        ("test_samples", test_samples, len(test_labels) - (validation_samples + 1) * alone),
        ("train_samples", train_samples, len(labels) - validation_samples - from_same),
    ):
        if samples is not None:
            check_integer(name, samples, minimum=1, maximum=most)

    generator = data_generator(seed)
    order = interleaved(labels, generator)
    validation = np.sort(order[:validation_samples])
    rest = order[validation_samples:]
    test = rest[:from_same] if alone else interleaved(test_labels, generator)[:test_samples]
    train = np.sort(rest[from_same:][:train_samples])
    rms = _rms(images[train])
    if rms == 0:
        raise ValueError(f"{folder}: the training images are all black")
    return Dataset(
        _split(images, labels, train, rms, dtype),
        _split(images, labels, validation, rms, dtype),
        _split(test_images, test_labels, np.sort(test), rms, dtype),
        task="classification",
        out_features=CLASSES,
        class_names=source.class_names,
    )


def interleaved(labels: Labels, generator: np.random.Generator) -> Order:
    """Draw an order of all samples in which every contiguous part is stratified.

    The kth of the m members of a class, in random order, k = 0 … m − 1, gets the position (k + ½)/m
    between beginning and end; classes with the same position are ordered at random.
    """
    shuffled = generator.permutation(len(labels))
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels[shuffled] == label)
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    order: Order = shuffled[np.argsort(position, kind="stable")]
    return order


def _check_complete(folder: Path, source: Source, wanted: Collection[str]) -> None:
    names = [name.removesuffix(".gz") for name in wanted]
    missing = [name for name in names if find_idx(folder, name) is None]
    if missing:
        alone = all(name.startswith("train") for name in missing)
        instead = "; data.files=test draws all splits from the test files alone" if alone else ""
        raise ValueError(
            f"path={folder}: there is no {', no '.join(missing)}, with or without .gz;"
            f" data.download=true fetches {source.name} from {' or '.join(source.mirrors)}, or put"
            f" the files there by hand{instead}"
        )


def _read_pair(folder: Path, part: str) -> tuple[Images, Labels]:
    """The images and labels of the files ``train`` or ``t10k``."""
    paths = [find_idx(folder, f"{part}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")]
    images_path, labels_path = (path or folder for path in paths)
    images = read_idx(images_path, (None, SIDE, SIDE))
    labels = read_idx(labels_path, (None,))
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} holds {len(images)} images, {labels_path} {len(labels)} labels"
        )
    if len(labels) and labels.max() >= CLASSES:
        raise ValueError(f"{labels_path}: label {labels.max()}, should be 0 to {CLASSES - 1}")
    return images, labels.astype(np.int64)


def _rms(images: Images) -> float:
    total = int(np.einsum("nij,nij->", images, images, dtype=np.int64))
    return float(np.sqrt(total / len(images)))


def _split(images: Images, labels: Labels, part: Order, rms: float, dtype: torch.dtype) -> Split:
    inputs = torch.empty(len(part), SIDE, SIDE, dtype=dtype)
    for start in range(0, len(part), PIECE):
        spectra = np.fft.fft2(images[part[start : start + PIECE]]) / rms
        inputs[start : start + PIECE] = torch.from_numpy(spectra)
    return Split(inputs, torch.from_numpy(labels[part]))
