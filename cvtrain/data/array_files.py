"""Arrays in .npy, .npz, .mat (versions 5 and 7.3) and .h5 files, opened without reading them
whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from cvtrain.data.file_errors import reading

Array: TypeAlias = npt.NDArray[Any]
HDF5_SUFFIXES = (".h5", ".hdf5")
SUFFIXES = (".npy", ".npz", ".mat", *HDF5_SUFFIXES)
COMPLEX_PAIRS = {("real", "imag"), ("r", "i"), ("re", "im")}
"""Names of the two fields in which HDF5 files store complex numbers; the first pair is MATLAB's."""


@runtime_checkable  # pydantic requires this for arguments that it checks
class Stored(Protocol):
    """Samples along the first axis, in memory or on disk; picklable."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples, followed by the shape of one sample."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the stored numbers."""

    def take(self, samples: npt.NDArray[np.intp]) -> Array:
        """Read samples by their indices, which are ascending; returns [n, ...]."""


class InMemory:
    """An array in memory, [N, ...]."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self.shape: tuple[int, ...] = array.shape
        self.dtype = array.dtype

    def take(self, samples: npt.NDArray[np.intp]) -> Array:
        """Take samples by their indices; returns [n, ...]."""
        return self.array[samples]


class RealPairs:
    """The complex array [N, ...] made of stored pairs of real numbers [N, ..., 2].

    Args:
        argument: name of the argument in error messages, such as ``parts``.
        kind: name of the pairs in error messages, such as ``inputs``.
        stored: array whose last axis holds real and imaginary part.

    Raises:
        ValueError: `stored` does not hold real pairs.
    """

    def __init__(self, argument: str, kind: str, stored: Stored) -> None:
        shape = stored.shape
        if stored.dtype.kind not in "biuf" or len(shape) < 2 or shape[-1] != 2:
            sizes = ", ".join(("N", *map(str, shape[1:])))
            raise ValueError(
                f"{argument}=last: {kind} should be real [N, ..., 2], are {stored.dtype} [{sizes}]"
            )
        self.stored = stored
        self.shape: tuple[int, ...] = shape[:-1]
        self.dtype: np.dtype[Any] = np.result_type(stored.dtype, np.complex64)

    def take(self, samples: npt.NDArray[np.intp]) -> Array:
        """Read samples by their indices, which are ascending; returns [n, ...].

        Raises:
            ValueError: the file cannot be read.
        """
        pairs = self.stored.take(samples)
        numbers = np.empty(pairs.shape[:-1], self.dtype)
        numbers.real, numbers.imag = pairs[..., 0], pairs[..., 1]
        return numbers


class OnDisk:
    """An array [N, ...] in a .npy file (memory-mapped) or in an HDF5 file.

    Each process opens the file itself: an open HDF5 file cannot be shared, and NumPy would pickle a
    memory map with all its data.
    """

    def __init__(self, file: Path, name: str | None) -> None:
        self.file, self.name = file, name
        self._process, self._array = 0, None
        self.shape: tuple[int, ...] = self._opened().shape
        self.dtype = _number_type(self._opened().dtype)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_process": 0, "_array": None}

    def take(self, samples: npt.NDArray[np.intp]) -> Array:
        """Read samples by their indices, which are ascending; returns [n, ...].

        Raises:
            ValueError: the file cannot be read.
        """
        with reading(self.file):
            return _as_numbers(np.asarray(self._opened()[samples]))

    def _opened(self) -> Any:
        if self._process != os.getpid():
            if self.name is None:
                self._array = np.load(self.file, mmap_mode="r", allow_pickle=False)
            else:
                import h5py

                self._array = h5py.File(self.file, "r")[self.name]
            self._process = os.getpid()
        return self._array


def open_array(argument: str, path: str) -> Stored:
    """Open the array that an argument names.

    Args:
        argument: name of the argument in error messages, such as ``inputs``.
        path: a file, or ``FILE:NAME`` with the name of a variable, which may be omitted if the file
            holds only one.

    Raises:
        ValueError: the file or variable does not exist, or does not hold numbers.
    """
    file, name = _file_and_name(argument, path)
    with reading(file):
        try:
            stored = _open(file, name)
        except ValueError as error:
            if "Object arrays" in str(error) or "Python objects" in str(error):  # NumPy's words
                raise ValueError("holds Python objects, should be numbers") from None
            raise
        if stored.dtype.kind not in "biufc":
            raise ValueError(f"holds {stored.dtype}, should be numbers")
        if not stored.shape:
            raise ValueError("holds a single number, should be an array of samples")
    return stored


def everything(stored: Stored) -> Array:
    """Read all samples; returns [N, ...]."""
    return stored.take(np.arange(stored.shape[0]))


def is_matlab(path: str) -> bool:
    """Whether a file is one of MATLAB, which stores labels as floating-point numbers."""
    return ".mat" in (Path(path).suffix, Path(path.rpartition(":")[0]).suffix)


def _file_and_name(argument: str, name_or_path: str) -> tuple[Path, str | None]:
    file, name = Path(name_or_path).expanduser(), None
    if not file.exists() and ":" in name_or_path:
        path, _, name = name_or_path.rpartition(":")
        file = Path(path).expanduser()
    if not file.is_file():
        raise ValueError(f"{argument}={name_or_path}: there is no file {file}")
    if file.suffix not in SUFFIXES:
        raise ValueError(f"{argument}={name_or_path}: should be a file {', '.join(SUFFIXES)}")
    return file, name


def _open(file: Path, name: str | None) -> Stored:
    if file.suffix == ".npy":
        if name is not None:
            raise ValueError(f"a .npy file holds one array, without a name, not {name}")
        with file.open("rb") as stream:
            if stream.read(6) != b"\x93NUMPY":
                raise ValueError("it is no .npy file")
        return OnDisk(file, None)
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as archive:
            return InMemory(archive[_chosen(name, archive.files)])
    import h5py

    if file.suffix in HDF5_SUFFIXES:
        return OnDisk(file, _chosen(name, _datasets(file)))
    if h5py.is_hdf5(file):  # MATLAB 7.3, which stores axes in reversed order
        with h5py.File(file, "r") as stored:
            return InMemory(_as_numbers(np.asarray(stored[_chosen(name, _datasets(file))])).T)
    from scipy.io import loadmat, whosmat

    name = _chosen(name, [variable for variable, _, _ in whosmat(file)])
    return InMemory(np.asarray(loadmat(file, variable_names=[name])[name]))


def _chosen(name: str | None, names: Sequence[str]) -> str:
    if name is None and len(names) == 1:
        return names[0]
    if name is None or name not in names:
        missing = "holds several variables" if name is None else f"has no {name}"
        raise ValueError(f"{missing}; should be FILE:NAME with one of {', '.join(names)}")
    return name


def _datasets(file: Path) -> list[str]:
    import h5py

    names: list[str] = []

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and not name.startswith("#"):
            names.append(name)

    with h5py.File(file, "r") as stored:
        stored.visititems(visit)
    return names


def _number_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.names is not None and tuple(dtype.names) in COMPLEX_PAIRS:
        return np.dtype(np.result_type(dtype[0], np.complex64))
    return dtype


def _as_numbers(array: Array) -> Array:
    names = array.dtype.names
    if names is None or tuple(names) not in COMPLEX_PAIRS:
        return array
    real, imaginary = (array[name] for name in names)
    return (real + 1j * imaginary).astype(_number_type(array.dtype))


class FileStack:
    """A sample per file: files with one array each, all of the same shape.

    Args:
        files: the files in the order of their samples.
        name: name of the variable in each file, if a file holds several.

    Raises:
        ValueError: the first file cannot be read.
    """

    def __init__(self, files: Sequence[Path], name: str | None) -> None:
        self.files, self.name = tuple(files), name
        first = self._read(self.files[0])
        self.shape: tuple[int, ...] = (len(self.files), *first.shape)
        self.dtype = first.dtype

    def take(self, samples: npt.NDArray[np.intp]) -> Array:
        """Read samples by their indices; returns [n, ...].

        Raises:
            ValueError: a file cannot be read, or its array has another shape than the first one.
        """
        arrays = [self._read(self.files[sample]) for sample in samples]
        for sample, array in zip(samples, arrays, strict=True):
            if array.shape != self.shape[1:]:
                raise ValueError(
                    f"{self.files[sample]}: its array is {list(array.shape)}, should be"
                    f" {list(self.shape[1:])} as in {self.files[0]}"
                )
        return np.stack(arrays)

    def _read(self, file: Path) -> Array:
        path = str(file) if self.name is None else f"{file}:{self.name}"
        return everything(open_array("path", path))
