"""MSTAR files: a Phoenix header, then big-endian 32-bit moduli and phases."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CHIPS = "MSTAR_PUBLIC_TARGETS_CHIPS_T72_BMP2_BTR70_SLICY"
MIXED = "MSTAR_PUBLIC_MIXED_TARGETS_CD1"


def write_chip(file: Path, image: np.ndarray, native: int = 0, **fields: object) -> None:
    """`image` [rows, columns] complex, after `native` bytes of a header of the sensor's own."""
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
    length = len(_phoenix(header))
    header["PhoenixHeaderLength"] = f"{length:05d}"
    header["PhoenixSigSize"] = f"{length + native + 8 * image.size:07d}"
    parts = [np.abs(image).astype(">f4").tobytes(), np.angle(image).astype(">f4").tobytes()]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_phoenix(header | fields) + b"\0" * native + b"".join(parts))


def _phoenix(header: dict[str, object]) -> bytes:
    lines = ["[PhoenixHeaderVer01.04]", *(f"{key}= {value}" for key, value in header.items())]
    return "\n".join(["", *lines, "[EndofPhoenixHeader]", ""]).encode("ascii")


def write_mstar(top: Path, each: int = 10, size: int = 16) -> dict[str, list[np.ndarray]]:
    """Four classes of `each` chips, in two of the five collections; the chips by class."""
    generator = np.random.default_rng(0)
    folders = {
        "BMP2": f"{CHIPS}/TARGETS/TRAIN/17_DEG/BMP2/SN_9563",
        "T72": f"{CHIPS}/TARGETS/TRAIN/17_DEG/T72/SN_132",
        "2S1": f"{MIXED}/17_DEG/COL1/SCENE1/2S1",
        "ZSU_23_4": f"{MIXED}/15_DEG/COL1/SCENE1/ZSU_23_4",
    }
    written = {}
    for name, folder in folders.items():
        images = generator.standard_normal((2, each, size, size))
        written[name] = list(images[0] + 1j * images[1])
        for number, image in enumerate(written[name]):
            write_chip(top / folder / f"HB{number:05d}.015", image, native=7 * (number % 2))
    return written
