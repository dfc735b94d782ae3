"""The samples of one split of a data set: in memory, or on disk and read as they are wanted."""

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
            (regression); there are no positions where an input has one target as a whole.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, samples: Tensor) -> Split:
        """Some of them, `samples` being their numbers, [n] int64."""
        return Split(self.inputs[samples], self.targets[samples])

    def pieces(self, size: int) -> Iterator[Split]:
        """All of them in their order, `size` at a time."""
        inputs, targets = torch.split(self.inputs, size), torch.split(self.targets, size)
        for each in zip(inputs, targets, strict=True):
            yield Split(*each)


class UnusableSample(ValueError):
    """A sample on disk cannot be read, or does not fit its data set."""


class Samples(Protocol):
    """Reads one sample at a time; picklable, and safe to be read from several processes."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, sample: int) -> tuple[Tensor, Tensor]:
        """An input [...], complex, and its target: [*positions] int64 or [out, *positions] complex.

        Raises:
            OSError, ValueError: it cannot be read, or is not what it should be.
        """
        ...


@dataclass(frozen=True, eq=False)
class FileSplit:
    """Samples that stay on disk: those of a batch are read when it is due, a few batches ahead.

    Attributes:
        samples: reads them.
        chosen: which of the samples are of this split, in its order; distinct.
        workers: processes that read beside the one that trains; 0: it reads for itself.
    """

    samples: Samples
    chosen: Sequence[int]
    workers: int = 0

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, samples: Tensor) -> Split:
        """Some of them, read now; `samples` are their numbers in this split, [n] int64.

        Raises:
            UnusableSample: one of them cannot be read; it names it.
        """
        told = _Told(self)
        return _usable(_together([told[int(sample)] for sample in samples]))

    def pieces(self, size: int) -> Iterator[Split]:
        """All of them in their order, `size` at a time.

        Raises:
            UnusableSample: as `take`.
        """
        return self.batches(torch.split(torch.arange(len(self)), size))

    def batches(self, order: Iterable[Tensor]) -> Iterator[Split]:
        """One batch for each list of numbers, read ahead; `order` may be endless.

        Raises:
            UnusableSample: as `take`, at the batch that cannot be read.
        """
        loader = DataLoader(
            _Told(self),
            batch_sampler=(numbers.tolist() for numbers in order),
            num_workers=self.workers,
            collate_fn=_together,
            worker_init_fn=_leave_signals,
            # It draws a seed for its workers: not from the numbers of the run.
            generator=torch.Generator(),
        )
        return map(_usable, loader)


AnySplit: TypeAlias = Split | FileSplit


def in_memory(split: AnySplit) -> Split:
    """All of its samples, read if they are on disk."""
    return split if isinstance(split, Split) else split.take(torch.arange(len(split)))


class _Told(TorchDataset[tuple[Tensor, Tensor] | str]):
    """Gives what is wrong with a sample as a text: an exception would bring a traceback along."""

    def __init__(self, split: FileSplit) -> None:
        self._samples, self._chosen = split.samples, split.chosen

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor] | str:
        try:
            return self._samples[self._chosen[number]]
        except MemoryError:  # of what reads it, not of the sample
            raise
        except Exception as error:  # readers of file formats raise whatever they meet
            return f"sample {number}: {first_line(error) or type(error).__name__}"


def _together(read: Sequence[tuple[Tensor, Tensor] | str]) -> Split | str:
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
    """Ctrl-C goes to all processes of a terminal; the one that trains ends its readers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
