"""Load the batches of K runs, and splits in pieces, onto the device of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import torch
from torch import Tensor

from cvtrain.data.batches import BatchOrder
from cvtrain.data.draws import Draws
from cvtrain.data.split import AnySplit, FileSplit, Split, UnusableSample

PIECE_ENTRIES = 64
"""Pieces have fewer samples if an input has more entries than this."""


class BatchLoader:
    """Moves data to the device: splits in memory once, samples on disk as they are read.

    draws: the data of the K runs.
    orders: order of each run's batches, K; runs with the same seed and data set share what is read.
    """

    def __init__(self, draws: Draws, orders: Sequence[BatchOrder]) -> None:
        self._dataset = draws.distinct[0]
        self._train = draws.train()
        firsts = [draws.first_sample(run) for run in range(len(orders))]
        keys = [(order.seed, first) for order, first in zip(orders, firsts, strict=True)]
        distinct = dict(zip(keys, orders, strict=True))
        self._orders = [(order, first) for (_, first), order in distinct.items()]
        index = {key: number for number, key in enumerate(distinct)}
        self._order_of = torch.tensor([index[key] for key in keys])
        self._moved: dict[int, tuple[Split, Split]] = {}
        self._stream: Iterator[Split] | None = None
        self._read: tuple[int, Split] | None = None

    def batch(self, number: int, device: torch.device) -> Split:
        """Batch `number` of each run: inputs, targets and weights [K, B, …].

        Raises:
            UnusableSample: a sample on disk cannot be read, or does not fit the data set.
        """
        if isinstance(self._train, FileSplit):
            return self._batch_from_disk(self._train, number, device)
        moved = self._on(device, self._train)
        numbers = torch.stack([order.indices(number) + first for order, first in self._orders])
        if device.type == "cuda":
            numbers = numbers.pin_memory()  # a copy from pageable memory would synchronise
        samples = numbers.to(device, non_blocking=True)[self._order_on(device)]
        return moved.map(lambda tensor: _gathered(tensor, samples))

    def pieces(self, split: AnySplit, device: torch.device, most: int) -> Iterator[Split]:
        """All samples of `split`, at most `most` at a time, fewer if inputs are large.

        Raises:
            UnusableSample: a sample on disk cannot be read, or does not fit the data set.
        """
        size = max(1, min(most, PIECE_ENTRIES * most // self._dataset.entries))
        if isinstance(split, FileSplit):
            return (_to(device, self._checked(piece)) for piece in split.pieces(size))
        return self._on(device, split).pieces(size)

    def close(self) -> None:
        """Stop the workers that read ahead."""
        self._stream = self._read = None

    def _batch_from_disk(self, train: FileSplit, number: int, device: torch.device) -> Split:
        if self._read is None or self._read[0] != number:  # L-BFGS evaluates a batch several times
            if self._stream is None or self._read is None or self._read[0] != number - 1:
                self._stream = train.batches(self._numbers(batch) for batch in count(number))
            self._read = (number, _to(device, self._checked(next(self._stream))))
        read = self._read[1]
        shared = torch.arange(len(read), device=device).reshape(len(self._orders), -1)
        samples = shared[self._order_on(device)]
        return read.map(lambda tensor: _gathered(tensor, samples))

    def _numbers(self, batch: int) -> Tensor:
        return torch.cat([order.indices(batch) for order, _ in self._orders])

    def _checked(self, piece: Split) -> Split:
        problem = self._dataset.problem(piece)
        if problem is not None:
            raise UnusableSample(f"of samples read, {problem}")
        return piece

    def _on(self, device: torch.device, split: Split) -> Split:
        if split.targets.device == device:
            return split
        # The split is kept too, so that its id is not used again.
        if id(split) not in self._moved:
            self._moved[id(split)] = (split, _to(device, split))
        return self._moved[id(split)][1]

    def _order_on(self, device: torch.device) -> Tensor:
        self._order_of = self._order_of.to(device)
        return self._order_of


def _gathered(tensor: Tensor, samples: Tensor) -> Tensor:
    """Select `samples` [K, B] of a tensor [N, …]: [K, B, …]."""
    selected = tensor.index_select(0, samples.reshape(-1))
    return selected.reshape(*samples.shape, *tensor.shape[1:])


def _to(device: torch.device, split: Split) -> Split:
    return split.map(lambda tensor: tensor.to(device))
