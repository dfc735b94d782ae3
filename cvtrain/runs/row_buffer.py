"""Rows of signals that stay on their device until many are fetched at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Kind = tuple[torch.dtype, torch.device]
"""Dtype and device, which stacked tensors share: type promotion would round int64 to float32."""


@dataclass(frozen=True)
class Row:
    """A row on the CPU.

    Attributes:
        step: index of the row.
        wall_time: time at which it was written, in seconds since the epoch.
        runs: positions of the R runs that have it.
        tags: T names.
        values: [T, R].
    """

    step: int
    wall_time: float
    runs: list[int]
    tags: tuple[str, ...]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class _DeviceRow:
    """A row on its device: the kind of each tag, and the values of the tags of each kind, [·,
    K]."""

    step: int
    wall_time: float
    runs: list[int]
    tags: tuple[str, ...]
    kinds: list[Kind]
    blocks: dict[Kind, Tensor]


class RowBuffer:
    """Keeps copies of rows of K runs on their device; the original tensors may change
    afterwards."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self._waiting: list[_DeviceRow] = []

    def add(self, step: int, signals: Mapping[str, Tensor], runs: Sequence[int] | None) -> None:
        """Keep a row without waiting for the device.

        Args:
            step: index of the row.
            signals: real tensors [K or more] by tag; entries beyond K are padding.
            runs: positions that have the row; None: all K.

        Raises:
            ValueError: a signal has another shape.
        """
        by_kind: dict[Kind, list[Tensor]] = {}
        kinds = [(values.dtype, values.device) for values in signals.values()]
        for kind, values in zip(kinds, signals.values(), strict=True):
            by_kind.setdefault(kind, []).append(values)
        # Stacking copies the tensors, which the caller may change afterwards.
        with torch.no_grad():
            blocks = {kind: torch.stack(same) for kind, same in by_kind.items()}
        for block in blocks.values():
            if block.ndim != 2 or block.shape[1] < self._runs:
                shape = list(block.shape[1:])
                raise ValueError(f"signals of shape {shape} for {self._runs} runs")
        positions = range(self._runs) if runs is None else (run for run in runs if run < self._runs)
        self._waiting.append(
            _DeviceRow(step, time.time(), list(positions), tuple(signals), kinds, blocks)
        )

    def take(self) -> list[Row]:
        """Fetch all rows, one transfer per kind, and clear the buffer, even if that fails."""
        waiting, self._waiting = self._waiting, []
        blocks: dict[Kind, list[Tensor]] = {}
        for row in waiting:
            for kind, block in row.blocks.items():
                blocks.setdefault(kind, []).append(block[:, : self._runs])
        # float64 on the CPU, since not every device supports it.
        columns = {
            kind: iter(torch.cat(same).cpu().to(torch.float64).numpy())
            for kind, same in blocks.items()
        }
        rows = []
        for row in waiting:
            values = np.empty((len(row.tags), self._runs))
            for index, kind in enumerate(row.kinds):
                values[index] = next(columns[kind])
            rows.append(Row(row.step, row.wall_time, row.runs, row.tags, values[:, row.runs]))
        return rows
