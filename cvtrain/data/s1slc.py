"""Land cover in images of the Sentinel-1 radar in two polarisations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cvtrain.data.arguments import Amplitude, ComplexDtype, Seed, Workers, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.file_errors import data_folder, reading
from cvtrain.data.image_files import finite, image_dataset
from cvtrain.data.random import data_generator, stratified

CLASSES = 7
CITIES = ("Sao Paulo", "Houston", "Chicago")
POLARISATIONS = ("HH.npy", "HV.npy")
FILES = (*POLARISATIONS, "Labels.npy")
EXPECTED = (
    f"it should hold a folder for each city ({', '.join(CITIES)}) with {', '.join(FILES)},"
    " as unpacked from S1SLC_CVDL of IEEE DataPort"
)


@checked_arguments
def s1slc(
    *,
    path: str,
    seed: Seed = 0,
    amplitude: Amplitude = "linear",
    workers: Workers = 0,
    dtype: ComplexDtype,
) -> Dataset:
    """Classification of S1SLC_CVDL's single-look complex patches by land cover, seven classes.

    The arrays stay on disk and are memory-mapped. Of each class 60 % of the patches of all cities
    are for training, 20 % for validation, 20 % for test.

    Args:
        path: folder with one folder per city, which holds HH.npy and HV.npy, `[N, H, W]` complex,
            and Labels.npy, N numbers from 1 to 7. Folders with none of these files are ignored,
            unless they are in `CITIES`.
        seed: seed of the random split.
        amplitude: `linear` or `log`; see `image_dataset`.
        workers: number of processes that read samples; see `FileSplit`.
        dtype: complex64 or complex128: dtype of inputs `[N, 2, H, W]`, HH before HV; targets are
            the labels minus one, `[N]` int64.

    Raises:
        ValueError: an argument is out of range, the folder is not valid, or an array is missing,
            cut short or not valid.
    """
    top = data_folder(path, EXPECTED)
    cities = sorted(
        city
        for city in top.iterdir()
        if city.name in CITIES or any((city / name).exists() for name in FILES)
    )
    if not cities:
        raise ValueError(f"path={path}: holds no such arrays; {EXPECTED}")
    labels = [_checked_labels(city) for city in cities]
    all_labels = np.concatenate(labels)
    if len(np.unique(all_labels)) < 2:
        raise ValueError(f"path={path}: holds one class, should be two or more")
    shapes = {_map(city / name).shape[1:] for city in cities for name in POLARISATIONS}
    if len(shapes) > 1:
        listed = " and ".join("×".join(map(str, shape)) for shape in sorted(shapes)[:2])
        raise ValueError(f"path={path}: patches should be of one size, are {listed}")
    parts = stratified(all_labels, data_generator(seed))
    return image_dataset(
        Patches(cities, labels), parts, CLASSES, amplitude=amplitude, workers=workers, dtype=dtype
    )


class Patches:
    """Reader of patches [2, H, W] and their classes from memory maps.

    torchcvnn's S1SLC reads them too, but in the order of the file system and from every folder.

    Args:
        cities: folder of each city.
        labels: classes of each city's patches.
    """

    def __init__(self, cities: Sequence[Path], labels: Sequence[npt.NDArray[np.int64]]) -> None:
        self.cities, self.labels = cities, labels
        self._starts = np.concatenate([[0], np.cumsum([len(of_city) for of_city in labels])])
        self._maps: dict[Path, npt.NDArray[Any]] = {}

    def __reduce__(self) -> tuple[type[Patches], tuple[Any, ...]]:
        # Memory maps are opened again after unpickling: numpy would pickle the whole arrays.
        return Patches, (self.cities, self.labels)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, sample: int) -> tuple[Tensor, Tensor]:
        number = int(np.searchsorted(self._starts, sample, side="right")) - 1
        patch = sample - int(self._starts[number])
        channels = []
        for name in POLARISATIONS:
            file = self.cities[number] / name
            if file not in self._maps:
                self._maps[file] = _map(file)
            with reading(file):
                channels.append(finite(self._maps[file][patch]))
        return torch.stack(channels), torch.tensor(int(self.labels[number][patch]))


def _map(file: Path) -> npt.NDArray[Any]:
    with reading(file):
        if not file.is_file():
            raise ValueError(f"it is missing; {EXPECTED}")
        with file.open("rb") as stream:
            if stream.read(6) != b"\x93NUMPY":
                raise ValueError("it is no .npy file")
        array: npt.NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    return array


def _checked_labels(city: Path) -> npt.NDArray[np.int64]:
    """Classes of a city's patches, [N], counted from 0, after a check of the shapes of its
    files."""
    stored = _map(city / "Labels.npy")
    with reading(city / "Labels.npy"), np.errstate(invalid="ignore"):  # NaN is rejected below
        if stored.dtype.kind not in "iuf" or stored.ndim < 1 or stored.size != len(stored):
            raise ValueError(f"it holds {stored.dtype} {list(stored.shape)}, should be N labels")
        labels = stored.reshape(-1).astype(np.int64) - 1
        if not len(labels) or not np.array_equal(labels + 1, stored.reshape(-1)):
            raise ValueError("its labels should be whole numbers, at least one")
        if labels.min() < 0 or labels.max() >= CLASSES:
            span = f"{labels.min() + 1} to {labels.max() + 1}"
            raise ValueError(f"labels span {span}, should be 1 to {CLASSES}")
    for name in POLARISATIONS:
        patches = _map(city / name)
        with reading(city / name):
            if patches.dtype.kind != "c" or patches.ndim != 3 or len(patches) != len(labels):
                raise ValueError(
                    f"it holds {patches.dtype} {list(patches.shape)},"
                    f" should be complex numbers [{len(labels)}, H, W]"
                )
    return labels
