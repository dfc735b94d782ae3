"""The data sets of files: how a small copy of each is written and read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cvtrain.data import Dataset
from cvtrain.data.miccai2023 import miccai2023
from cvtrain.data.mstar import mstar
from cvtrain.data.polsf import polsf
from cvtrain.data.s1slc import s1slc
from cvtrain.data.sample import sample
from tests.data.alos2_files import write_polsf
from tests.data.published_files import write_miccai2023, write_mstar, write_s1slc, write_sample

SCENE: dict[str, Any] = {"shape": (96, 64), "corner": (64, 32)}
"""PolSF's labelled area: six blocks of 32 × 32, four patches of 16 × 16 in each."""

SETS: dict[Callable[..., Dataset], tuple[Callable[[Path], Any], dict[str, Any]]] = {
    miccai2023: (write_miccai2023, {"crop": 8}),
    mstar: (write_mstar, {"crop": 16}),
    polsf: (lambda top: write_polsf(top, **SCENE), {"patch_size": 16, "block_size": 32}),
    s1slc: (write_s1slc, {}),
    sample: (write_sample, {"crop": 8, "complete": False}),
}
"""By the function that reads it: what writes a small copy, and the arguments to read that."""


def read(function: Callable[..., Dataset], path: Path, **arguments: Any) -> Dataset:
    """Read a small copy in complex128."""
    return function(
        **{"path": str(path), "dtype": torch.complex128} | SETS[function][1] | arguments
    )


def everything(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Inputs and targets of all three splits."""
    splits = [dataset.train, dataset.validation, dataset.test]
    taken = [split.take(torch.arange(len(split))) for split in splits]
    return torch.cat([s.inputs for s in taken]), torch.cat([s.targets for s in taken])
