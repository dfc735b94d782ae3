"""Checkpoints: weights under plain names, loadable with `weights_only=True`, written atomically."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from cvtrain.process.errors import InputError, StorageUnavailable, first_line
from cvtrain.process.regular_file import open_regular
from cvtrain.runs.files import write_atomically
from cvtrain.runs.run_json import CHECKPOINTS, READABLE_SCHEMAS, SCHEMA, is_readable
from cvtrain.runs.storage_errors import is_unavailable


def checkpoint_path(directory: Path, name: str) -> Path:
    """The path of the checkpoint `name` in a run directory: `last`, `best` or `average`."""
    return directory / CHECKPOINTS / f"{name}.ckpt"


def save_checkpoint(
    directory: Path,
    name: str,
    state_dict: Mapping[str, Tensor],
    step: int,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write `<directory>/checkpoints/<name>.ckpt`: {schema, state_dict, step}, and training.

    Args:
        directory: run directory.
        name: `last`, `best` or `average` (the averaged weights, if the run has them).
        state_dict: tensors by their names in the plain `nn.Module`.
        step: number of updates made when the weights had these values.
        training: further state that training needs to continue, as tensors and plain values; None
            if it does not continue.
    """
    content = {
        "schema": SCHEMA,
        "state_dict": _on_host(dict(state_dict)),
        "step": step,
        **({} if training is None else {"training": _on_host(training)}),
    }
    # Not into the file itself: a full disk would be reported as an error of the zip format.
    serialized = io.BytesIO()
    torch.save(content, serialized)
    path = checkpoint_path(directory, name)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, lambda file: file.write(serialized.getbuffer()))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], int]:
    """Read the state dict and the step of a checkpoint; nothing in the file is executed.

    Raises:
        InputError: the file is not a checkpoint of a known schema, or is damaged.
    """
    content = read_checkpoint(path)
    return content["state_dict"], content["step"]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read everything that `save_checkpoint` wrote; nothing in the file is executed.

    Raises:
        StorageUnavailable: the file system fails.
        InputError: the file is not a checkpoint of a known schema, or is damaged.
    """
    try:
        with open_regular(path) as file:
            damaged = _damaged_entry(file)
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        reason = error.strerror or first_line(error)
        if is_unavailable(error):
            raise StorageUnavailable(f"{path}: cannot be read: {reason}") from error
        raise InputError(f"{path}: cannot be read as a checkpoint: {reason}") from None
    except Exception as error:  # a damaged pickle may raise anything
        reason = first_line(error) or type(error).__name__
        raise InputError(f"{path}: cannot be read as a checkpoint: {reason}") from None
    if damaged is not None:
        raise InputError(f"{path}: is damaged (checksum of {damaged})")
    schema = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not is_readable(schema):
        schemas = " or ".join(map(str, READABLE_SCHEMAS))
        raise InputError(f"{path}: is not a checkpoint of schema {schemas}")
    weights, step = content.get("state_dict"), content.get("step")
    if not isinstance(weights, dict) or type(step) is not int or not 0 <= step < 2**63:
        raise InputError(f"{path}: has no weights or no step")
    if not all(isinstance(name, str) for name in weights):
        raise InputError(f"{path}: has weights without names")
    return content


def _damaged_entry(file: BinaryIO) -> str | None:
    """The first entry of a zip file whose content does not match its checksum, or None. torch
    writes the checksums and does not compare them.

    Raises:
        ValueError: an entry would take more room in memory than in the file.
    """
    with zipfile.ZipFile(file) as archive:
        promised = sum(entry.file_size for entry in archive.infolist())
        if promised > file.seek(0, os.SEEK_END):
            raise ValueError("its entries are compressed, or overlap; those of torch do not")
        return archive.testzip()


def _on_host(value: Any) -> Any:
    """`value` on the CPU, copied: a slice of a stack would save the storage of the whole stack."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, Mapping):
        return {key: _on_host(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_host(item) for item in value)
    return value
