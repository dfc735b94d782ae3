"""Checkpoints: weights under plain names, loadable with `weights_only=True`, written atomically."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cvtrain.record.run_file import SCHEMA, write_atomically

FOLDER = "checkpoints"


def save_checkpoint(
    directory: Path, name: str, state_dict: Mapping[str, Tensor], step: int
) -> None:
    """Write `<directory>/checkpoints/<name>.ckpt`: {schema, state_dict, step}.

    Args:
        directory: the run directory.
        name: `last` or `best`.
        state_dict: tensors by the names they have in the plain `nn.Module`.
        step: updates made when the weights had these values.
    """
    content = {
        "schema": SCHEMA,
        # Clones: a slice of a stack would otherwise save the whole stack's storage.
        "state_dict": {key: value.detach().cpu().clone() for key, value in state_dict.items()},
        "step": step,
    }
    path = directory / FOLDER / f"{name}.ckpt"
    # Not into the file itself: a full disk would be told as an error of the zip format.
    serialized = io.BytesIO()
    torch.save(content, serialized)
    write_atomically(path, lambda file: file.write(serialized.getbuffer()))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], int]:
    """State dict and step of a checkpoint; nothing in the file is executed.

    Raises:
        ValueError: not a checkpoint of this schema.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ValueError(f"{path} is not a checkpoint of schema {SCHEMA}")
    return content["state_dict"], content["step"]
