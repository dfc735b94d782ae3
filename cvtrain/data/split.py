"""The samples of one split of a data set: in memory, or on disk and read batch by batch."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from cvtrain.process.errors import first_line

Inputs: TypeAlias = Tensor | tuple[Tensor, ...]
"""`[N, ...]`, or a tuple of such tensors: the arguments of a network that takes several."""


# Tensors have no single truth value, so neither class can be compared entry by entry: eq=False.
@dataclass(frozen=True, eq=False)
class Split:
    """Inputs and their targets, in memory.

    Attributes:
        inputs: `[N, ...]`, complex; or a tuple of such tensors.
        targets: `[N, *positions]` int64 labels (classification) or `[N, out, *positions]` complex
            or real (regression); there are no positions where an input has one target as a whole.
        weights: `[N]` real, not negative: how much each sample counts in the loss; None: all count
            alike.
    """

    inputs: Inputs
    targets: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.each_input[0])

    @property
    def each_input(self) -> tuple[Tensor, ...]:
        """The inputs as a tuple, also where there is one."""
        return self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)

    @property
    def judged(self) -> tuple[Tensor, ...]:
        """What a loss takes after the outputs: targets, and weights if there are any."""
        return (self.targets,) if self.weights is None else (self.targets, self.weights)

    @property
    def batch(self) -> tuple[Any, ...]:
        """What a step of a LightningModule gets: inputs, targets, and weights if there are any."""
        return (self.inputs, *self.judged)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors: inputs, targets, and weights if there are any."""
        return (*self.each_input, *self.judged)

    def of(self, tensors: Iterable[Tensor]) -> Split:
        """A split of other `tensors`, which are in the order of those of this one."""
        values = iter(tensors)
        inputs = tuple(next(values) for _ in self.each_input)
        return Split(inputs if isinstance(self.inputs, tuple) else inputs[0], *values)

    def map(self, change: Callable[[Tensor], Tensor]) -> Split:
        """A split of every tensor changed."""
        return self.of(map(change, self.tensors))

    def take(self, samples: Tensor | slice) -> Split:
        """Select samples by their numbers in this split, [n] int64, or a slice of them."""
        return self.map(lambda tensor: tensor[samples])

    def pieces(self, size: int) -> Iterator[Split]:
        """Iterate over all samples in their order, `size` at a time."""
        starts = range(0, len(self), size)
        yield from (self.take(slice(start, start + size)) for start in starts)


def joined(splits: Sequence[Split], join: Callable[[list[Tensor]], Tensor]) -> Split:
    """One split of several of one form: `join` makes one tensor of those of all splits."""
    columns = zip(*(split.tensors for split in splits), strict=True)
    return splits[0].of(join(list(column)) for column in columns)


def network_output(network: Callable[..., Tensor], inputs: Inputs) -> Tensor:
    """The output of a network, which gets each of several inputs as an argument."""
    return network(*inputs) if isinstance(inputs, tuple) else network(inputs)


def unless_equal(weights: Tensor) -> Tensor | None:
    """Weights [N], or None where all are equal: the mean then has the bits of one without."""
    return None if (weights == weights[0]).all() else weights


class UnusableSample(ValueError):
    """A sample on disk cannot be read, or does not fit its data set."""


class Samples(Protocol):
    """Reader of one sample at a time; picklable, and safe to be used by several processes."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, sample: int) -> tuple[Any, ...]:
        """Read an input [...], complex, or a tuple of such; its target, [*positions] int64 or
        [out, *positions] complex or real; and its weight [] where samples have one.

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


class _ErrorsAsText(TorchDataset[Split | str]):
    """Returns what is wrong with a sample as text: from a worker, an exception would bring its
    traceback along."""

    def __init__(self, split: FileSplit) -> None:
        self._samples, self._chosen = split.samples, split.chosen

    def __getitem__(self, number: int) -> Split | str:
        try:
            return Split(*self._samples[self._chosen[number]])
        except MemoryError:  # not the fault of the sample
            raise
        except Exception as error:  # readers of file formats raise all kinds of exceptions
            return f"sample {number}: {first_line(error) or type(error).__name__}"


def _collate(read: Sequence[Split | str]) -> Split | str:
    samples: list[Split] = []
    for sample in read:
        if isinstance(sample, str):
            return sample
        samples.append(sample)
    kinds = ["inputs"] * len(samples[0].each_input) + ["targets", "weights"]
    for kind, *tensors in zip(kinds, *(sample.tensors for sample in samples), strict=False):
        shapes = {tuple(tensor.shape) for tensor in tensors}
        if len(shapes) > 1:
            listed = " and ".join(str(list(shape)) for shape in sorted(shapes)[:2])
            return f"{kind} of different shapes, {listed}"
    if len({len(sample.tensors) for sample in samples}) > 1:
        return "samples with and without weights"
    return joined(samples, torch.stack)


def _usable(read: Split | str) -> Split:
    if isinstance(read, str):
        raise UnusableSample(read)
    return read


def _leave_signals(worker: int) -> None:
    """Ignore Ctrl-C: all processes of a terminal get it, and the training one ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
