"""The order of minibatches, a function of nothing but seed and step."""

import numpy as np
import torch
from torch import Tensor

from cvtrain.config.argument_checks import check_integer


class BatchOrder:
    """Which samples an update sees.

    Epoch e visits the samples in the order `default_rng((seed, e)).permutation(samples)`, so a
    resumed run, and every engine, finds the batches of an uninterrupted one by the step alone.
    The last batch of an epoch is smaller where `batch_size` does not divide `samples`.

    Args:
        samples: size of the training split.
        batch_size: samples per update; None takes all of them, unshuffled, at every update.
        seed: not negative.

    Raises:
        ValueError: an argument is out of range; `batch_size` may not exceed `samples`.
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
        """Updates per epoch, a partial last batch included."""
        return -(-self.samples // self.batch_size)

    def indices(self, step: int) -> Tensor:
        """Samples of update `step` (counted from 0): `[batch]` int64, to index `inputs` with.

        Raises:
            ValueError: `step` is negative.
        """
        check_integer("step", step, minimum=0)
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch and self._shuffled:
            self._epoch, self._order = epoch, self._draw(epoch)
        start = position * self.batch_size
        # A copy, lest a caller who writes to it changes the rest of the epoch.
        return self._order[start : start + self.batch_size].clone()

    def _draw(self, epoch: int) -> Tensor:
        if not self._shuffled:
            return torch.arange(self.samples)
        generator = np.random.default_rng((self.seed, epoch))
        return torch.from_numpy(generator.permutation(self.samples))
