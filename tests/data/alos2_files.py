"""PolSF: the CEOS files of an ALOS-2 scene (level 1.1, four polarisations), and its labels.

The scene is as large as the real one and hollow: of the labelled part's 5056 × 2784 pixels one
area is written, and the files take a few megabytes of the disk.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

VOLUME = "VOL-ALOS2044980750-150324-HBQR1.1__A"
LABELS = "SF-ALOS2-label2d.png"
POLARISATIONS = ("HH", "HV", "VH", "VV")
PART = ((2832, 736), (7888, 3520))
"""Where the labels lie in the image: first and last row and column."""

SHAPE = (5056, 2784)
Field = tuple[int, bytes]


def record(length: int, *fields: Field, blank: bytes = b" ") -> bytearray:
    """A record of blanks with its fields at their offsets."""
    filled = bytearray(blank * length)
    for start, content in fields:
        filled[start : start + len(content)] = content
    return filled


def binary(start: int, value: int, length: int = 4) -> Field:
    return start, value.to_bytes(length, "big")


def text(start: int, value: object, length: int) -> Field:
    return start, f"{value:>{length}}".encode("ascii")


def volume(images: int = 4) -> bytes:
    """The volume directory: a descriptor, a pointer to each file, a text."""
    classes = ["SARL", *["IMOP"] * images, "SART"]
    descriptor = record(
        360,
        binary(0, 1),
        (4, bytes([192, 192, 18, 18])),
        binary(8, 360),
        (12, b"A   CEOS-SAR     A A"),
        *(text(start, 1, 2) for start in (92, 94, 96, 98)),
        *(text(start, 1, 4) for start in (100, 104, 108, 164)),
        text(160, len(classes), 4),
    )
    pointers = [
        record(360, binary(0, 2 + number), (5, bytes([219])), (64, name.encode("ascii")))
        for number, name in enumerate(classes)
    ]
    return b"".join([descriptor, *pointers, record(360, binary(0, 2 + len(classes)))])


def leader(calibration: object) -> bytes:
    """Descriptor, summary, platform positions, attitude and radiometric record."""
    numbers = (1686, 1702, 1734, 1750, 1838)
    angles = (40, 54, 68)
    return b"".join(
        [
            record(720, text(192, 0, 6)),
            record(4096, text(388, 4, 4), *(text(start, "1.0000000", 16) for start in numbers)),
            record(4680),
            record(16384, *(text(start, "0.100000E+01", 14) for start in angles)),
            record(9860, binary(0, 5), text(20, calibration, 16)),
        ]
    )


def trailer(pixels: int = 3, lines: int = 2, held: int = 12) -> bytes:
    """Descriptor and a low-resolution image, of which `held` bytes are there."""
    numbers = [text(490, 1, 6), text(496, 2 * pixels, 8), text(504, pixels, 6), text(510, lines, 6)]
    return bytes(record(720, *numbers) + bytes(held))


def write_image(file: Path, area: np.ndarray, corner: tuple[int, int]) -> None:
    """An image whose labelled part holds `area` [rows, columns] complex at `corner`."""
    rows, columns = PART[1]
    length = 544 + 8 * columns
    numbers = [text(180, rows, 6), text(186, length, 6), text(216, 32, 4), text(220, 2, 4)]
    numbers += [text(224, 8, 4), text(276, 544, 4), text(280, 8 * columns, 8), text(288, 0, 4)]

    def line(row: int) -> bytearray:
        fields = [binary(0, 2 + row), (5, bytes([10])), binary(8, length), binary(12, 1 + row)]
        return record(544, *fields, binary(24, columns), blank=b"\0")

    pairs = np.stack([area.real, area.imag], axis=-1).astype(">f4")
    with file.open("wb") as stream:
        stream.truncate(720 + rows * length)
        stream.write(record(720, (16, b"CEOS-SAR    "), (428, b"C*8 "), *numbers))
        stream.write(line(0))
        for number, pixels in enumerate(pairs):
            row = PART[0][0] + corner[0] + number
            stream.seek(720 + row * length)
            stream.write(line(row))
            stream.seek(8 * (PART[0][1] + corner[1]), 1)
            stream.write(pixels.tobytes())


def write_labels(file: Path, labels: np.ndarray) -> None:
    """The picture of labels [5056, 2784], which has the last row first."""
    Image.fromarray(labels[::-1].astype(np.uint8)).save(file)


def write_polsf(
    top: Path, shape: tuple[int, int], corner: tuple[int, int] = (0, 0), calibration: float = 32.0
) -> tuple[np.ndarray, np.ndarray]:
    """A scene with one labelled area, of `shape` at `corner`.

    Returns:
        the area's pixels [4, rows, columns] in float32 precision, and its labels, 0 to 6.
    """
    generator = np.random.default_rng(0)
    parts = generator.standard_normal((2, 4, *shape)).astype(np.float32)
    areas = parts[0] + 1j * parts[1]
    of_area = generator.integers(0, 7, shape)
    labels = np.zeros(SHAPE, int)
    labels[corner[0] : corner[0] + shape[0], corner[1] : corner[1] + shape[1]] = of_area
    top.mkdir(parents=True, exist_ok=True)
    (top / VOLUME).write_bytes(volume())
    (top / VOLUME.replace("VOL-", "LED-")).write_bytes(leader(f"{calibration:.7f}"))
    (top / VOLUME.replace("VOL-", "TRL-")).write_bytes(trailer())
    for name, area in zip(POLARISATIONS, areas, strict=True):
        write_image(top / VOLUME.replace("VOL-", f"IMG-{name}-"), area, corner)
    write_labels(top / LABELS, labels)
    return areas, of_area
