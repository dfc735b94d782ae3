"""Which runs have had enough validations without a better one."""

from __future__ import annotations

import torch
from torch import Tensor

from cvtrain.config.sections import EarlyStoppingConfig
from cvtrain.process.errors import InputError
from cvtrain.training.metrics import RISING


class EarlyStopping:
    """Follows one metric of K runs: a run is to end after `patience` validations in a row that were
    not better than its best one by more than `min_delta`. A NaN is not better than anything.

    Prechelt 1998, Early stopping — but when?, the criterion UP with a margin.

    Args:
        config: metric, patience and margin; without a patience no run ends.
        metrics: what is validated, `loss` included.

    Raises:
        InputError: the metric is not validated.
    """

    def __init__(self, config: EarlyStoppingConfig, metrics: tuple[str, ...]) -> None:
        self.metric = config.metric.removeprefix("val/")
        if self.metric not in metrics:
            raise InputError(
                f"early_stopping.metric={config.metric}: not measured here;"
                f" one of {', '.join(metrics)}"
            )
        self.patience = config.patience
        self._min_delta = config.min_delta
        self._best: Tensor | None = None
        self._waited: Tensor | None = None

    def observe(self, values: Tensor) -> Tensor:
        """Which runs are to end after a validation that gave `values`, [K]; bool [K]."""
        order = -values if self.metric in RISING else values
        if self._best is None or self._waited is None:
            self._best = torch.full_like(order, torch.inf)
            self._waited = torch.zeros_like(order, dtype=torch.int64)
        better = order < self._best - self._min_delta
        self._best = torch.where(better, order, self._best)
        self._waited = torch.where(better, 0, self._waited + 1)
        if self.patience is None:
            return torch.zeros_like(better)
        return self._waited >= self.patience
