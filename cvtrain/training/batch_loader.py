"""A data set on the device of training: the batches of K runs, and splits piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import torch
from torch import Tensor

from cvtrain.data.batches import BatchOrder
from cvtrain.data.dataset import Dataset
from cvtrain.data.split import AnySplit, FileSplit, Split, UnusableSample

PIECE_ENTRIES = 64
"""An input of more entries than this makes pieces of fewer samples."""


class BatchLoader:
    """What is in memory is moved once, and kept; what is on disk is moved when it is read.

    Args:
        dataset: of all K runs.
        orders: of each run's batches, K; runs of one seed share what is read for it.
    """

    def __init__(self, dataset: Dataset, orders: Sequence[BatchOrder]) -> None:
        self._dataset = dataset
        distinct = {order.seed: order for order in orders}
        self._orders = list(distinct.values())
        place = {seed: number for number, seed in enumerate(distinct)}
        self._order_of = torch.tensor([place[order.seed] for order in orders])
        self._moved: dict[int, tuple[Split, Split]] = {}
        self._stream: Iterator[Split] | None = None
        self._read: tuple[int, Split] | None = None

    def batch(self, number: int, device: torch.device) -> Split:
        """Each run's batch of that number: inputs [K, B, …] and targets [K, B, …].

        Raises:
            UnusableSample: a sample on disk cannot be read, or does not fit the data set.
        """
        train = self._dataset.train
        if isinstance(train, FileSplit):
            return self._batch_from_disk(train, number, device)
        there = self._on(device, train)
        drawn = torch.stack([order.indices(number) for order in self._orders])
        if device.type == "cuda":
            drawn = drawn.pin_memory()  # a copy from elsewhere would wait for the device
        samples = drawn.to(device, non_blocking=True)[self._order_on(device)]
        return Split(_gathered(there.inputs, samples), _gathered(there.targets, samples))

    def pieces(self, split: AnySplit, device: torch.device, most: int) -> Iterator[Split]:
        """All samples of `split`, at most `most` at a time, and fewer where inputs are large.

        Raises:
            UnusableSample: as for `batch`.
        """
        size = max(1, min(most, PIECE_ENTRIES * most // self._dataset.in_features))
        if isinstance(split, FileSplit):
            return (_to(device, self._checked(piece)) for piece in split.pieces(size))
        return self._on(device, split).pieces(size)

    def close(self) -> None:
        """End what reads ahead."""
        self._stream = self._read = None

    def _batch_from_disk(self, train: FileSplit, number: int, device: torch.device) -> Split:
        if self._read is None or self._read[0] != number:  # one optimizer asks several times
            if self._stream is None or self._read is None or self._read[0] != number - 1:
                self._stream = train.batches(self._numbers(batch) for batch in count(number))
            self._read = (number, _to(device, self._checked(next(self._stream))))
        read = self._read[1]
        shared = torch.arange(len(read), device=device).reshape(len(self._orders), -1)
        samples = shared[self._order_on(device)]
        return Split(_gathered(read.inputs, samples), _gathered(read.targets, samples))

    def _numbers(self, batch: int) -> Tensor:
        return torch.cat([order.indices(batch) for order in self._orders])

    def _checked(self, piece: Split) -> Split:
        problem = self._dataset.problem(piece)
        if problem is not None:
            raise UnusableSample(f"of samples read, {problem}")
        return piece

    def _on(self, device: torch.device, split: Split) -> Split:
        if split.inputs.device == device:
            return split
        # By identity, which is the split's own while it is kept here too.
        if id(split) not in self._moved:
            self._moved[id(split)] = (split, _to(device, split))
        return self._moved[id(split)][1]

    def _order_on(self, device: torch.device) -> Tensor:
        self._order_of = self._order_of.to(device)
        return self._order_of


def _gathered(tensor: Tensor, samples: Tensor) -> Tensor:
    """[K, B, …] of [N, …], by the numbers [K, B]."""
    found = tensor.index_select(0, samples.reshape(-1))
    return found.reshape(*samples.shape, *tensor.shape[1:])


def _to(device: torch.device, split: Split) -> Split:
    return Split(split.inputs.to(device), split.targets.to(device))
