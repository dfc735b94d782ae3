"""Networks whose forward changes buffers or parameters, each in a way of its own."""

from __future__ import annotations

import torch
from torch import nn

from tests.models.stateful_networks import Linear


class RunningMean(Linear):
    """The idiom of many public networks: a new tensor in the buffer's place."""

    def prepare(self):
        self.register_buffer("var", torch.ones_like(self.mean))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        x = x.flatten(1)
        if self.training:
            mean, var = x.mean(0), (x - x.mean(0)).abs().square().mean(0)
            with torch.no_grad():
                self.mean = 0.3 * mean + 0.7 * self.mean
                self.var = 0.3 * var + 0.7 * self.var
                self.batches = self.batches + 1
        else:
            mean, var = self.mean, self.var
        return self.lin((x - mean) / (var.abs() + 1e-5).sqrt())


class OnlyEvery(RunningMean):
    """Replaced by what does not depend on the member, and kept where it is not in training."""

    def leave(self, x):
        if self.training:
            self.mean = torch.full_like(self.mean, 0.5)

    def forward(self, x):
        self.leave(x)
        return self.lin(x.flatten(1) - self.mean)


class Lazy(Linear):
    def leave(self, x):
        if not hasattr(self, "scale"):
            self.register_buffer("scale", x.detach().mean(0))


class FilledLater(Linear):
    def prepare(self):
        self.register_buffer("scale", None)

    def leave(self, x):
        self.scale = x.detach().mean(0)


class Emptied(Linear):
    def leave(self, x):
        self.mean = None


class Renormed(Linear):
    def leave(self, x):
        with torch.no_grad():
            self.lin.weight.mul_(0.9)


class ReplacedParameter(Linear):
    def leave(self, x):
        del self.lin.weight
        self.lin.weight = nn.Parameter(torch.ones(2, 3, dtype=torch.float64))


class Reshaped(Linear):
    def leave(self, x):
        self.mean = x.detach().mean(0, keepdim=True)


class WithGraph(Linear):
    def leave(self, x):
        self.mean = 0.9 * self.mean + self.lin.weight.mean(0)


class Shared(Linear):
    def prepare(self):
        self.other = nn.Module()
        self.other.register_buffer("mean", self.mean)

    def leave(self, x):
        self.other.mean = self.other.mean + x.detach().mean(0)


class EvaluatedToo(Linear):
    def leave(self, x):
        if not self.training:
            self.mean = self.mean + x.detach().mean(0)


class EvaluatedInPlace(Linear):
    def leave(self, x):
        if not self.training:
            self.mean.add_(x.detach().mean(0))
