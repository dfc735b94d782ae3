"""CMRxRecon 2023, task 1: k-space of cine MRI in MATLAB's files of version 7.3, which are HDF5.

MATLAB writes a complex array as pairs of `real` and `imag`, its axes in reverse.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

TRAINING_SET = Path("MultiCoil", "cine", "TrainingSet")
HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124, b" ") + b"\x00\x02IM"


def write_array(file: Path, key: str, array: np.ndarray) -> None:
    """`array`, in the order of its axes in the file."""
    if np.iscomplexobj(array):
        pairs = np.empty(array.shape, [("real", "<f4"), ("imag", "<f4")])
        pairs["real"], pairs["imag"] = array.real, array.imag
        array = pairs
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w", userblock_size=512) as stored:
        stored.create_dataset(key, data=array)
        stored[key].attrs["MATLAB_class"] = np.bytes_("single")
    with file.open("r+b") as stream:
        stream.write(HEADER)


def write_miccai2023(
    top: Path,
    patients: int = 5,
    view: str = "sax",
    acceleration: int = 4,
    shape: tuple[int, int, int] = (3, 2, 2),
    sizes: tuple[tuple[int, int], ...] = ((10, 12), (8, 16), (6, 8)),
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """K-space [times, slices, coils, rows, columns] of each patient, undersampled and full.

    Every patient's images have one of `sizes`. Of the rows every `acceleration`-th and the two in
    the middle are sampled.
    """
    generator = np.random.default_rng(0)
    written = {}
    for number in range(patients):
        name, size = f"P{number + 1:03d}", sizes[number % len(sizes)]
        parts = generator.standard_normal((2, *shape, *size)).astype(np.float32)
        full = 1e-4 * (parts[0] + 1j * parts[1])
        mask = np.zeros(size)
        mask[::acceleration] = mask[size[0] // 2 - 1 : size[0] // 2 + 1] = 1
        sub = full * mask
        undersampled = top / TRAINING_SET / f"AccFactor{acceleration:02d}" / name
        write_array(top / TRAINING_SET / name / f"cine_{view}.mat", "kspace_full", full)
        write_array(undersampled / f"cine_{view}.mat", f"kspace_sub{acceleration:02d}", sub)
        write_array(undersampled / f"cine_{view}_mask.mat", f"mask{acceleration:02d}", mask)
        written[name] = sub.astype(np.complex64), full.astype(np.complex64)
    return written
