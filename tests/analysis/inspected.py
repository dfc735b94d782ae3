"""Networks with a fault each, for inspection; places of faults are looked up in this file."""

from __future__ import annotations

import torch
from torch import nn


class Square(torch.autograd.Function):
    """z², whose backward forgets to conjugate."""

    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return z * z

    @staticmethod
    def backward(ctx, g):
        (z,) = ctx.saved_tensors
        return g * 2 * z


class Halving(torch.autograd.Function):
    """The identity, with the textbook's ½ at every use."""

    @staticmethod
    def forward(ctx, z):
        return z.clone()

    @staticmethod
    def backward(ctx, g):
        return g / 2


class Squared(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 8, dtype=torch.complex64)

    def forward(self, x):
        return Square.apply(self.linear(x))


def halved(g):
    return g / 2


def conjugated(g):
    return g.conj()


class Faulty(nn.Module):
    """Two complex layers and, between them, what `fault` names."""

    def __init__(self, fault=None):
        super().__init__()
        self.fault = fault
        self.first = Squared() if fault == "square" else nn.Linear(6, 8, dtype=torch.complex64)
        self.last = nn.Linear(8, 3, dtype=torch.complex64)
        if fault == "spare":
            self.spare = nn.Linear(2, 2)
        if fault == "dead":
            with torch.no_grad():
                self.last.weight[:, 2] = 0
        for hook in {"halved": [halved], "conjugated": [conjugated]}.get(fault, []):
            for p in self.parameters():
                p.register_hook(hook)

    def forward(self, x):
        h = 0.1 * self.first(x)
        if self.fault == "halving":
            h = Halving.apply(h)
        if self.fault == "cast":
            h = h + h.to(torch.float32)  # the cast
        if self.fault == "detached":
            h = h.detach()
        if self.fault == "nan":
            h = h * (h - h).abs().sqrt().add(1)
        return self.last(torch.tanh(h))


class RandomlyWrong(nn.Module):
    """Another output at every call."""

    def __init__(self):
        super().__init__()
        self.linear, self.calls = nn.Linear(6, 3, dtype=torch.complex64), 0

    def forward(self, x):
        self.calls += 1
        return self.calls * self.linear(x)
