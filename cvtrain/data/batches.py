"""The order of minibatches as a pure function of seed and step."""

import numpy as np
import torch
from torch import Tensor

from cvtrain.config.argument_checks import check_integer


class BatchOrder:
    """The samples of each update.

    Epoch e visits the samples in the order `default_rng((seed, e)).permutation(samples)`. A resumed
    run, and every engine, can therefore compute the batches of an uninterrupted run from the step
    alone. The last batch of an epoch is smaller if `batch_size` does not divide `samples`.

    Args:
        samples: size of the training split.
        batch_size: samples per update; None takes all samples, unshuffled, at every update.
        seed: seed of the order, not negative.

    Raises:
        ValueError: an argument is out of range, or `batch_size` exceeds `samples`.
    """

    def __init__(self, samples: int, batch_size: int | None, seed: int) -> None:
        check_integer("samples", samples, minimum=1)
        if batch_size is not None:
            check_integer("batch_size", batch_size, minimum=1, maximum=samples)
        check_integer("seed", seed, minimum=0)
        self.samples = samples
        self.batch_size = samples if batch_size is None else batch_size
        self.seed = seed
        self._shuffled = batch_size is not None
        self._epoch = 0
        self._order = self._draw(epoch=0)

    @property
    def steps_per_epoch(self) -> int:
        """Number of updates per epoch, including a partial last batch."""
        return -(-self.samples // self.batch_size)

    def indices(self, step: int) -> Tensor:
        """Indices of the samples of update `step` (counted from 0): `[batch]` int64, an index into
        `inputs`.

        Raises:
            ValueError: `step` is negative.
        """
        check_integer("step", step, minimum=0)
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch and self._shuffled:
            self._epoch, self._order = epoch, self._draw(epoch)
        start = position * self.batch_size
        # A copy, so that a caller who writes to it does not change the rest of the epoch.
        return self._order[start : start + self.batch_size].clone()

    def _draw(self, epoch: int) -> Tensor:
        if not self._shuffled:
            return torch.arange(self.samples)
        generator = np.random.default_rng((self.seed, epoch))
        return torch.from_numpy(generator.permutation(self.samples))
