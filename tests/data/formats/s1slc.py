"""S1SLC_CVDL: a folder for each city, with HH.npy, HV.npy and Labels.npy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CITIES = ("Sao Paulo", "Houston", "Chicago")


def write_s1slc(top: Path, each: int = 21, size: int = 8) -> dict[str, dict[str, np.ndarray]]:
    """`each` patches of every city, labelled 1 to 7 in turn; the arrays by city and file."""
    generator = np.random.default_rng(0)
    written = {}
    for city in CITIES:
        parts = generator.standard_normal((2, 2, each, size, size)).astype(np.float32)
        hh, hv = parts[0] + 1j * parts[1]
        labels = (1 + np.arange(each) % 7).astype(np.uint8).reshape(-1, 1)
        written[city] = {"HH": hh, "HV": hv, "Labels": labels}
        (top / city).mkdir(parents=True)
        for name, array in written[city].items():
            np.save(top / city / f"{name}.npy", array)
    return written
