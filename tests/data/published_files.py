"""Small copies of the published data sets MSTAR, SAMPLE, S1SLC_CVDL and CMRxRecon, file by file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat
from torchcvnn.datasets.sample.filelist import filelist

CHIPS = "MSTAR_PUBLIC_TARGETS_CHIPS_T72_BMP2_BTR70_SLICY"
MIXED = "MSTAR_PUBLIC_MIXED_TARGETS_CD1"
VEHICLES = tuple(filelist["real"])
CITIES = ("Sao Paulo", "Houston", "Chicago")
TRAINING_SET = Path("MultiCoil", "cine", "TrainingSet")


def normal(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Complex normal numbers in the precision of float32."""
    real, imaginary = generator.standard_normal((2, *shape)).astype(np.float32)
    return real + 1j * imaginary


def write_chip(file: Path, image: np.ndarray, native: int = 0, **fields: object) -> None:
    """An MSTAR file: a Phoenix header, `native` bytes of a header of the sensor, then big-endian
    32-bit moduli and phases of `image` [rows, columns]."""

    def phoenix(header: dict[str, object]) -> bytes:
        lines = ["[PhoenixHeaderVer01.04]", *(f"{key}= {value}" for key, value in header.items())]
        return "\n".join(["", *lines, "[EndofPhoenixHeader]", ""]).encode("ascii")

    rows, columns = image.shape
    header = {
        "Filename": file.name,
        "PhoenixHeaderLength": "00000",
        "PhoenixSigSize": "0000000",
        "native_header_length": native,
        "NumberOfColumns": columns,
        "NumberOfRows": rows,
        "TargetType": "t72_tank",
    } | fields
    length = len(phoenix(header))
    header["PhoenixHeaderLength"] = f"{length:05d}"
    header["PhoenixSigSize"] = f"{length + native + 8 * image.size:07d}"
    parts = [np.abs(image).astype(">f4").tobytes(), np.angle(image).astype(">f4").tobytes()]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(phoenix(header | fields) + b"\0" * native + b"".join(parts))


def write_mstar(top: Path, each: int = 10, size: int = 16) -> dict[str, list[np.ndarray]]:
    """Four classes of `each` chips, in two of the five collections; the chips by class."""
    generator = np.random.default_rng(0)
    folders = {
        "BMP2": f"{CHIPS}/TARGETS/TRAIN/17_DEG/BMP2/SN_9563",
        "T72": f"{CHIPS}/TARGETS/TRAIN/17_DEG/T72/SN_132",
        "2S1": f"{MIXED}/17_DEG/COL1/SCENE1/2S1",
        "ZSU_23_4": f"{MIXED}/15_DEG/COL1/SCENE1/ZSU_23_4",
    }
    written = {name: list(normal(generator, each, size, size)) for name in folders}
    for name, folder in folders.items():
        for number, image in enumerate(written[name]):
            write_chip(top / folder / f"HB{number:05d}.015", image, native=7 * (number % 2))
    return written


def write_mat(file: Path, image: np.ndarray, **options: object) -> None:
    """A SAMPLE file: a MAT-file of version 5 with `image` [rows, columns] and its description."""
    numbers = ["azimuth", "elevation", "bandwidth", "center_freq"]
    axes = [f"{axis}_{n}" for axis in ("range", "xrange") for n in ("resolution", "pixel_spacing")]
    content = dict.fromkeys(numbers + axes, 1.5)
    file.parent.mkdir(parents=True, exist_ok=True)
    savemat(file, content | {"target_name": "tank", "complex_img": image}, **options)


def mat_name(vehicle: str, kind: str, number: int) -> str:
    return f"{vehicle}_{kind}_A_elevDeg_016_azCenter_{number:03d}_22_serial_b01.mat"


def write_sample(top: Path, views: int = 5, cloned: bool = True) -> dict[str, list[np.ndarray]]:
    """`views` measured images of each class and their synthetic twins; the images by class.

    Args:
        top: folder.
        views: of each class.
        cloned: in the folders of the repository, else all files of a class in one folder.
    """
    generator = np.random.default_rng(0)
    written: dict[str, list[np.ndarray]] = {vehicle: [] for vehicle in VEHICLES}
    for vehicle in VEHICLES:
        for number in range(views):
            for kind in ("real", "synth"):
                image = normal(generator, 8, 8)
                folder = top / kind / vehicle if cloned else top / vehicle
                write_mat(folder / mat_name(vehicle, kind, number), image)
                written[vehicle].append(image)
    return written


def write_s1slc(top: Path, each: int = 21, size: int = 8) -> dict[str, dict[str, np.ndarray]]:
    """`each` patches of every city, labelled 1 to 7 in turn; the arrays by city and file."""
    generator = np.random.default_rng(0)
    written = {}
    for city in CITIES:
        hh, hv = normal(generator, 2, each, size, size)
        labels = (1 + np.arange(each) % 7).astype(np.uint8).reshape(-1, 1)
        written[city] = {"HH": hh, "HV": hv, "Labels": labels}
        (top / city).mkdir(parents=True)
        for name, array in written[city].items():
            np.save(top / city / f"{name}.npy", array)
    return written


def write_matlab_array(file: Path, key: str, array: np.ndarray) -> None:
    """A MATLAB file of version 7.3, which is HDF5: a complex array as pairs of real and imag, its
    axes in the order of the file, the reverse of MATLAB's."""
    if np.iscomplexobj(array):
        pairs = np.empty(array.shape, [("real", "<f4"), ("imag", "<f4")])
        pairs["real"], pairs["imag"] = array.real, array.imag
        array = pairs
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w", userblock_size=512) as stored:
        stored.create_dataset(key, data=array)
        stored[key].attrs["MATLAB_class"] = np.bytes_("single")
    with file.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124, b" ") + b"\x00\x02IM")


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
        full = 1e-4 * normal(generator, *shape, *size)
        mask = np.zeros(size)
        mask[::acceleration] = mask[size[0] // 2 - 1 : size[0] // 2 + 1] = 1
        sub = full * mask
        undersampled = top / TRAINING_SET / f"AccFactor{acceleration:02d}" / name
        write_matlab_array(top / TRAINING_SET / name / f"cine_{view}.mat", "kspace_full", full)
        mask_file = undersampled / f"cine_{view}_mask.mat"
        write_matlab_array(mask_file, f"mask{acceleration:02d}", mask)
        sub_key = f"kspace_sub{acceleration:02d}"
        write_matlab_array(undersampled / f"cine_{view}.mat", sub_key, sub)
        written[name] = sub.astype(np.complex64), full.astype(np.complex64)
    return written
