"""Batch normalisation that keeps running statistics for each member of a stack.

New statistics are written into the buffers; under `vmap` over stacked buffers these are the
stack's. A NaN stays within its member.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MemberComplexBatchNorm(nn.Module):
    """Mixin for torchcvnn's batch normalisation: the same numbers without a branch on values.

    With x = (Re z, Im z) of each channel, mean μ and covariance V over the batch and the remaining
    axes (in evaluation the running ones)::

        y = Γ (V + εI)^(-½) (x − μ) + β

    Trabelsi et al. 2018, Deep complex networks, section 3.5. As in torchcvnn, V is divided by n −
    1. torchcvnn's own layer raises an error if a running statistic is NaN, and without `affine`.

    Attributes:
        weight: Γ [C, 2, 2], real, or None.
        bias: β [C], complex, or None.
        running_mean: [C], complex, or None.
        running_var: [C, 2, 2], real, or None.
    """

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    eps: float
    momentum: float
    track_running_stats: bool

    def forward(self, z: Tensor) -> Tensor:
        """y of z [N, C, ...], complex, in its shape and dtype."""
        over = (0, *range(2, z.dim()))
        by_channel = (-1, *(1 for _ in over[1:]))
        if self.training or not self.track_running_stats:
            mean = z.mean(over)
            centred = z - mean.reshape(by_channel)
            covariance = _covariance(centred, over)
        else:
            assert self.running_mean is not None and self.running_var is not None
            mean, covariance = self.running_mean, self.running_var
            centred = z - mean.reshape(by_channel)
        matrix = _inverse_square_root(covariance, self.eps)
        if self.weight is not None:
            matrix = self.weight @ matrix
        rr, ri, ir, ii = (entry.reshape(by_channel) for entry in matrix.flatten(-2).unbind(-1))
        re, im = centred.real, centred.imag
        y = torch.complex(rr * re + ri * im, ir * re + ii * im)
        if self.bias is not None:
            y = y + self.bias.reshape(by_channel)
        if self.training and self.track_running_stats:
            assert self.running_mean is not None and self.running_var is not None
            _move(self.running_mean, mean, self.momentum)
            _move(self.running_var, covariance, self.momentum)
        return y


class MemberBatchNorm(nn.Module):
    """Mixin for torch's batch normalisation of real features. With a cumulative average (`momentum`
    None) torch reads the number of batches as a Python number, which `vmap` does not allow.

    Attributes:
        running_mean, running_var: [C], real, or None.
        num_batches_tracked: [], integer, or None.
    """

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    eps: float
    momentum: float | None

    def forward(self, x: Tensor) -> Tensor:
        """y of x [N, C, ...], real, in its shape and dtype."""
        if not self.training or self.momentum is not None or self.running_mean is None:
            y: Tensor = super().forward(x)
            return y
        assert self.running_var is not None and self.num_batches_tracked is not None
        # With momentum 1 torch writes the statistics of this batch alone into the buffers it is
        # given.
        mean, var = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        y = F.batch_norm(x, mean, var, self.weight, self.bias, True, 1.0, self.eps)
        self.num_batches_tracked.add_(1)
        share = self.num_batches_tracked.to(mean.dtype).reciprocal()
        _move(self.running_mean, mean, share)
        _move(self.running_var, var, share)
        return y


def _covariance(centred: Tensor, over: tuple[int, ...]) -> Tensor:
    """Covariance [C, 2, 2], real, of centred complex numbers [N, C, ...]."""
    re, im = centred.real, centred.imag
    degrees_of_freedom = centred.numel() // centred.shape[1] - 1
    rr, ri, ii = ((a * b).sum(over) for a, b in ((re, re), (re, im), (im, im)))
    return torch.stack((rr, ri, ri, ii), dim=-1).reshape(-1, 2, 2) / degrees_of_freedom


def _inverse_square_root(covariance: Tensor, eps: float) -> Tensor:
    """(V + εI)^(-½) = (adj(V + εI)/s + I)/t with s = √det, t = √(trace + 2s), all [C, 2, 2]."""
    # torchcvnn's ε has torch's default dtype: 1e-5 is a float32 also among complex128.
    eps = torch.tensor(eps, device="cpu").item()
    rr, ri, _, ii = covariance.flatten(-2).unbind(-1)
    rr, ii = rr + eps, ii + eps
    s = (rr * ii - ri * ri).sqrt()
    t = (rr + ii + 2 * s).sqrt()
    off_diagonal = -ri / s
    entries = torch.stack((ii / s + 1, off_diagonal, off_diagonal, rr / s + 1), dim=-1)
    return (entries / t.unsqueeze(-1)).reshape(-1, 2, 2)


def _move(running: Tensor, batch: Tensor, share: float | Tensor) -> None:
    """running ← (1 − share) · running + share · batch, in place."""
    running.copy_((1.0 - share) * running + share * batch.detach())
