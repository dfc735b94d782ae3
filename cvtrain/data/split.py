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
"""`[N, ...]`, or a tuple of such tensors: the arguments of a network with several inputs."""


# eq=False for both classes: tensors have no single truth value, so fields cannot be compared.
@dataclass(frozen=True, eq=False)
class Split:
    """Inputs and their targets, in memory.

    Attributes:
        inputs: `[N, ...]`, complex; or a tuple of such tensors.
        targets: `[N, *positions]` int64 labels (classification) or `[N, out, *positions]` complex
            or real (regression); without positions if an input has a single target.
        weights: `[N]` real, not negative: weight of each sample in the loss; None: all equal.
    """

    inputs: Inputs
    targets: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.each_input[0])

    @property
    def each_input(self) -> tuple[Tensor, ...]:
        """The inputs as a tuple, also if there is only one."""
        return self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)

    @property
    def judged(self) -> tuple[Tensor, ...]:
        """The arguments of a loss after the outputs: targets, and weights if there are any."""
        return (self.targets,) if self.weights is None else (self.targets, self.weights)

    @property
    def batch(self) -> tuple[Any, ...]:
        """The batch of a LightningModule's step: inputs, targets, and weights if there are any."""
        return (self.inputs, *self.judged)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors: inputs, targets, and weights if there are any."""
        return (*self.each_input, *self.judged)

    def of(self, tensors: Iterable[Tensor]) -> Split:
        """A split with other tensors, which are in the order of `self.tensors`."""
        values = iter(tensors)
        inputs = tuple(next(values) for _ in self.each_input)
        return Split(inputs if isinstance(self.inputs, tuple) else inputs[0], *values)

    def map(self, change: Callable[[Tensor], Tensor]) -> Split:
        """A split in which `change` was applied to every tensor."""
        return self.of(map(change, self.tensors))

    def take(self, samples: Tensor | slice) -> Split:
        """Select samples by index, [n] int64, or by a slice."""
        return self.map(lambda tensor: tensor[samples])

    def pieces(self, size: int) -> Iterator[Split]:
        """Iterate over all samples in their order, `size` at a time."""
        starts = range(0, len(self), size)
        yield from (self.take(slice(start, start + size)) for start in starts)


def joined(splits: Sequence[Split], join: Callable[[list[Tensor]], Tensor]) -> Split:
    """Join splits of the same form: `join` makes one tensor from those of all splits."""
    columns = zip(*(split.tensors for split in splits), strict=True)
    return splits[0].of(join(list(column)) for column in columns)


def network_output(network: Callable[..., Tensor], inputs: Inputs) -> Tensor:
    """The output of a network, which gets each of several inputs as an argument."""
    return network(*inputs) if isinstance(inputs, tuple) else network(inputs)


def unless_equal(weights: Tensor) -> Tensor | None:
    """Weights [N], or None if all are equal, so that the mean is bit-identical to an unweighted
    one."""
    return None if (weights == weights[0]).all() else weights


class UnusableSample(ValueError):
    """A sample on disk cannot be read, or does not fit its data set."""


class Samples(Protocol):
    """Interface of readers of single samples; picklable, and safe to use from several processes."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, sample: int) -> tuple[Any, ...]:
        """Read a sample: its input [...], complex, or a tuple of inputs; its target, [*positions]
        int64 or [out, *positions] complex or real; and its weight [], if samples have one.

        Raises:
            OSError, ValueError: the sample cannot be read or is not valid.
        """
        ...


@dataclass(frozen=True, eq=False)
class FileSplit:
    """Samples that stay on disk: workers read batches shortly before they are needed.

    Attributes:
        samples: reader of the whole data set.
        chosen: distinct indices of the samples in this split, in its order.
        workers: number of processes that read beside the training process; 0: the training process
            reads.
    """

    samples: Samples
    chosen: Sequence[int]
    workers: int = 0

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, samples: Tensor) -> Split:
        """Read samples by their indices in this split, [n] int64.

        Raises:
            UnusableSample: a sample cannot be read; the message names it.
        """
        reader = _ErrorsAsText(self)
        return _usable(_collate([reader[int(sample)] for sample in samples]))

    def pieces(self, size: int) -> Iterator[Split]:
        """Read all samples in their order, `size` at a time.

        Raises:
            UnusableSample: a sample cannot be read; the message names it.
        """
        return self.batches(torch.split(torch.arange(len(self)), size))

    def batches(self, order: Iterable[Tensor]) -> Iterator[Split]:
        """Read one batch for each tensor of indices in `order`, which may be endless.

        Raises:
            UnusableSample: a sample of that batch cannot be read; the message names it.
        """
        loader = DataLoader(
            _ErrorsAsText(self),
            batch_sampler=(numbers.tolist() for numbers in order),
            num_workers=self.workers,
            collate_fn=_collate,
            worker_init_fn=_leave_signals,
            # The loader draws a seed for its workers, which must not come from the run's random
            # state.
            generator=torch.Generator(),
        )
        return map(_usable, loader)


AnySplit: TypeAlias = Split | FileSplit


def in_memory(split: AnySplit) -> Split:
    """Return all samples of a split in memory, read from disk if necessary."""
    return split if isinstance(split, Split) else split.take(torch.arange(len(split)))


class _ErrorsAsText(TorchDataset[Split | str]):
    """Returns an error in a sample as text: an exception from a worker would bring its
    traceback."""

    def __init__(self, split: FileSplit) -> None:
        self._samples, self._chosen = split.samples, split.chosen

    def __getitem__(self, number: int) -> Split | str:
        try:
            return Split(*self._samples[self._chosen[number]])
        except MemoryError:  # not caused by the sample
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
    """Ignore Ctrl-C: all processes of a terminal receive it, and the training process ends its
    workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
