"""The samples of one split of a data set: in memory, or on disk and read batch by batch."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from cvtrain.process.errors import first_line


# Tensors have no single truth value, so neither class can be compared entry by entry: eq=False.
@dataclass(frozen=True, eq=False)
class Split:
    """Inputs and their targets, in memory.

    Attributes:
        inputs: `[N, ...]`, complex.
        targets: `[N, *positions]` int64 labels (classification) or `[N, out, *positions]` complex
            or real (regression); there are no positions where an input has one target as a whole.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, samples: Tensor) -> Split:
        """Select samples by their numbers in this split, [n] int64."""
        return Split(self.inputs[samples], self.targets[samples])

    def pieces(self, size: int) -> Iterator[Split]:
        """Iterate over all samples in their order, `size` at a time."""
        inputs, targets = torch.split(self.inputs, size), torch.split(self.targets, size)
        yield from map(Split, inputs, targets)


class UnusableSample(ValueError):
    """A sample on disk cannot be read, or does not fit its data set."""


class Samples(Protocol):
    """Reader of one sample at a time; picklable, and safe to be used by several processes."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, sample: int) -> tuple[Tensor, Tensor]:
        """Read an input [...], complex, and its target, [*positions] int64 or [out, *positions]
        complex.

        Raises:
            OSError, ValueError: the sample cannot be read, or is not what it should be.
        """
        ...


@dataclass(frozen=True, eq=False)
class FileSplit:
    """Samples that stay on disk: a batch is read when it is due, by workers a few batches ahead.

    Attributes:
        samples: reader of the whole data set.
        chosen: numbers of the samples in this split, in its order; distinct.
        workers: processes that read beside the one that trains; 0: that one reads.
    """

    samples: Samples
    chosen: Sequence[int]
    workers: int = 0

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, samples: Tensor) -> Split:
        """Read samples by their numbers in this split, [n] int64.

        Raises:
            UnusableSample: a sample cannot be read; the message names it.
        """
        reader = _ErrorsAsText(self)
        return _usable(_collate([reader[int(sample)] for sample in samples]))

    def pieces(self, size: int) -> Iterator[Split]:
        """Read all samples in their order, `size` at a time.

        Raises:
            UnusableSample: as `take`.
        """
        return self.batches(torch.split(torch.arange(len(self)), size))

    def batches(self, order: Iterable[Tensor]) -> Iterator[Split]:
        """Read one batch for each tensor of numbers in `order`, which may be endless.

        Raises:
            UnusableSample: as `take`, at the batch that cannot be read.
        """
        loader = DataLoader(
            _ErrorsAsText(self),
            batch_sampler=(numbers.tolist() for numbers in order),
            num_workers=self.workers,
            collate_fn=_collate,
            worker_init_fn=_leave_signals,
            # The loader draws a seed for its workers, which should not come from the run's state.
            generator=torch.Generator(),
        )
        return map(_usable, loader)


AnySplit: TypeAlias = Split | FileSplit


def in_memory(split: AnySplit) -> Split:
    """Return all samples of a split in memory, read from disk if need be."""
    return split if isinstance(split, Split) else split.take(torch.arange(len(split)))


class _ErrorsAsText(TorchDataset[tuple[Tensor, Tensor] | str]):
    """Returns what is wrong with a sample as text: from a worker, an exception would bring its
    traceback along."""

    def __init__(self, split: FileSplit) -> None:
        self._samples, self._chosen = split.samples, split.chosen

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor] | str:
        try:
            return self._samples[self._chosen[number]]
        except MemoryError:  # not the fault of the sample
            raise
        except Exception as error:  # readers of file formats raise all kinds of exceptions
            return f"sample {number}: {first_line(error) or type(error).__name__}"


def _collate(read: Sequence[tuple[Tensor, Tensor] | str]) -> Split | str:
    for sample in read:
        if isinstance(sample, str):
            return sample
    inputs, targets = zip(*read, strict=True)
    for kind, tensors in (("inputs", inputs), ("targets", targets)):
        shapes = {tuple(tensor.shape) for tensor in tensors}
        if len(shapes) > 1:
            listed = " and ".join(str(list(shape)) for shape in sorted(shapes)[:2])
            return f"{kind} of different shapes, {listed}"
    return Split(torch.stack(inputs), torch.stack(targets))


def _usable(read: Split | str) -> Split:
    if isinstance(read, str):
        raise UnusableSample(read)
    return read


def _leave_signals(worker: int) -> None:
    """Ignore Ctrl-C: all processes of a terminal get it, and the training one ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
