"""Data sets that differ only in the seed of their draw, side by side for the runs of a stack."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from cvtrain.data.dataset import Dataset
from cvtrain.data.split import AnySplit, Split, joined

SplitName: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


def form(dataset: Dataset) -> Hashable | None:
    """A key that is equal for data sets whose runs can be computed together: shapes and dtypes of
    the splits, and everything but the samples. None if samples stay on disk."""
    shapes: list[Hashable] = []
    for name in SPLITS:
        split: AnySplit = getattr(dataset, name)
        if not isinstance(split, Split):
            return None
        shapes += [(tuple(t.shape), t.dtype) for t in split.tensors]
        shapes.append((len(split.each_input), split.weights is None))
    symbols = None if dataset.alphabet is None else tuple(dataset.alphabet.tolist())
    solved = tuple((name, tuple(known.shape)) for name, known in dataset.solution.items())
    named = dataset.class_names
    return tuple(shapes), dataset.task, dataset.out_features, symbols, named, solved


class Draws:
    """The data of K runs, which use D ≤ K distinct data sets.

    Args:
        datasets: data set of each run, K; all have the same `form`.

    Attributes:
        distinct: the D distinct data sets.
        of_run: index in `distinct` of each run's data set, int64 [K].
    """

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        number = {id(dataset): 0 for dataset in datasets}
        number = {key: count for count, key in enumerate(number)}
        by_id = {id(dataset): dataset for dataset in datasets}
        self.distinct = [by_id[key] for key in number]
        self.of_run = torch.tensor([number[id(dataset)] for dataset in datasets])
        self._beside: dict[SplitName, Split] = {}

    @property
    def several(self) -> bool:
        """Whether there is more than one data set."""
        return len(self.distinct) > 1

    def first_sample(self, run: int) -> int:
        """Index in `train` of a run's first training sample."""
        return int(self.of_run[run]) * len(self.distinct[0].train)

    def train(self) -> AnySplit:
        """The training samples of all data sets, concatenated, [D·N, …]."""
        if not self.several:
            return self.distinct[0].train
        return joined([_in_memory(dataset.train) for dataset in self.distinct], torch.cat)

    def split(self, name: SplitName) -> AnySplit:
        """A split for evaluation, [N, …]; with several data sets they lie side by side, every
        tensor [N, D, …]."""
        if not self.several:
            split: AnySplit = getattr(self.distinct[0], name)
            return split
        if name not in self._beside:
            splits = [_in_memory(getattr(dataset, name)) for dataset in self.distinct]
            self._beside[name] = joined(splits, partial(torch.stack, dim=1))
        return self._beside[name]

    def solution(self) -> dict[str, Tensor]:
        """Optimal weights by parameter name: [1, …] for one data set, [K, …] for several; empty if
        unknown."""
        names = self.distinct[0].solution
        known = {n: torch.stack([data.solution[n] for data in self.distinct]) for n in names}
        return {n: t[self.of_run] if self.several else t for n, t in known.items()}


def _in_memory(split: AnySplit) -> Split:
    assert isinstance(split, Split)  # data sets with samples on disk are never stacked
    return split
