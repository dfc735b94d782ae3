"""Networks whose forward leaves something behind, each in a way of its own."""

from __future__ import annotations

import itertools
import random
from collections import deque
from functools import partial

import numpy as np
import torch
from torch import nn

COUNT = 0
LOG: list[int] = []
PLACE: dict[str, object] = {"calls": 0}


class Notebook:
    """An object of the user's own."""

    def __init__(self) -> None:
        self.lines: list[int] = []

    def hook(self, layer, inputs, output) -> None:
        self.lines.append(1)


class Linear(nn.Module):
    """What the others have in common: a real layer, and a buffer that nobody changes."""

    calls = 0

    def __init__(self, in_features=3, out_features=2, dtype=torch.float64):
        super().__init__()
        self.lin = nn.Linear(in_features, out_features, dtype=dtype)
        self.register_buffer("mean", torch.zeros(in_features, dtype=dtype))
        self.prepare()

    def prepare(self):
        pass

    def leave(self, x):
        pass

    def forward(self, x):
        x = x.flatten(1)
        self.leave(x)
        return self.lin(x)


class Counter(Linear):
    def prepare(self):
        self.counter = 0

    def leave(self, x):
        self.counter += 1


class InALayer(Linear):
    def prepare(self):
        self.inner = nn.Sequential(Counter())

    def leave(self, x):
        self.inner(x)


class Latest(Linear):
    def leave(self, x):
        self.latest = x.mean(0)


class RunningAttribute(Linear):
    def prepare(self):
        self.running = 0.0

    def leave(self, x):
        self.running = 0.9 * self.running + 0.1 * x.detach().mean(0)


class Constant(Linear):
    def prepare(self):
        self.plain = torch.zeros(3)

    def leave(self, x):
        self.plain = self.plain + 1


class InPlace(Linear):
    def prepare(self):
        self.plain = torch.zeros(3)

    def leave(self, x):
        self.plain.add_(1)


class Listed(Linear):
    def prepare(self):
        self.history = []

    def leave(self, x):
        self.history.append(x.detach())


class Nested(Linear):
    def prepare(self):
        self.state = {"inner": [{"steps": 0}]}

    def leave(self, x):
        self.state["inner"][0]["steps"] += 1


class Queue(Linear):
    def prepare(self):
        self.window = deque([0], maxlen=1)

    def leave(self, x):
        self.window.append(self.window[0] + 1)


class Seen(Linear):
    def prepare(self):
        self.sizes = set()

    def leave(self, x):
        self.sizes.add(len(self.sizes))


class Array(Linear):
    def prepare(self):
        self.table = np.zeros(4)

    def leave(self, x):
        self.table[1] += 1


class Object(Linear):
    def prepare(self):
        self.notes = Notebook()

    def leave(self, x):
        self.notes.lines.append(1)


class Numbered(Linear):
    def prepare(self):
        self.numbers = itertools.count()

    def leave(self, x):
        next(self.numbers)


class Yielding(Linear):
    def prepare(self):
        self.numbers = None

    def leave(self, x):
        if self.numbers is None:
            self.numbers = (each for each in range(10**6))
        next(self.numbers)


class OfTheClass(Linear):
    def leave(self, x):
        type(self).calls += 1


class OfTheModule(Linear):
    def leave(self, x):
        global COUNT
        COUNT += 1


class ListOfTheModule(Linear):
    def leave(self, x):
        LOG.append(1)


class DictOfTheModule(Linear):
    def leave(self, x):
        PLACE["calls"] = int(str(PLACE["calls"])) + 1


def _bump():
    _bump.calls += 1


_bump.calls = 0


class OfAFunction(Linear):
    def leave(self, x):
        _bump()


class Default(Linear):
    def leave(self, x, seen=[]):  # noqa: B006  # the idiom is what is tested
        seen.append(1)


class Python(Linear):
    def leave(self, x):
        random.random()


class NumPy(Linear):
    def leave(self, x):
        np.random.rand()  # noqa: NPY002


class OwnGenerator(Linear):
    def prepare(self):
        self.random = random.Random(0)

    def leave(self, x):
        self.random.random()


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


class Switching(Linear):
    def leave(self, x):
        self.lin.eval() if self.lin.training else self.lin.train()


class EvaluatedToo(Linear):
    def leave(self, x):
        if not self.training:
            self.mean = self.mean + x.detach().mean(0)


class EvaluatedInPlace(Linear):
    def leave(self, x):
        if not self.training:
            self.mean.add_(x.detach().mean(0))


def hooked_list():
    seen = []
    network = Linear()
    network.lin.register_forward_hook(lambda layer, inputs, output: seen.append(1))
    return network


def hooked_before():
    seen = {"calls": 0}

    def hook(calls, layer, inputs):
        calls["calls"] += 1

    network = Linear()
    network.register_forward_pre_hook(partial(hook, seen))
    return network


def hooked_object():
    network = Linear()
    network.lin.register_forward_hook(Notebook().hook)
    return network


CHANGES = {
    Counter: "Counter.counter",
    InALayer: "InALayer.inner.0.counter",
    Latest: "Latest.latest",
    RunningAttribute: "RunningAttribute.running",
    Constant: "Constant.plain",
    InPlace: "InPlace.plain",
    Listed: "Listed.history",
    Nested: r"Nested.state\['inner'\]\[0\]\['steps'\]",
    Queue: r"Queue.window\[0\]",
    Seen: "Seen.sizes",
    Array: "Array.table",
    Object: "Object.notes.lines",
    Numbered: "Numbered.numbers",
    Yielding: "Yielding.numbers",
    OfTheClass: "OfTheClass.calls",
    OfTheModule: r"[a-z_.]*stateful_networks.COUNT",
    ListOfTheModule: r"[a-z_.]*stateful_networks.LOG",
    DictOfTheModule: r"[a-z_.]*stateful_networks.PLACE\['calls'\]",
    OfAFunction: "_bump.calls",
    Default: r"Default.leave\(\)\[0\]",
    Python: "the random numbers of Python",
    NumPy: "the random numbers of NumPy",
    OwnGenerator: "OwnGenerator.random",
    Renormed: "Renormed.lin.weight",
    Switching: "Switching.lin.training",
    EvaluatedInPlace: "EvaluatedInPlace.mean in evaluation mode",
    hooked_list: r"hooked_list.<locals>.<lambda>.seen",
    hooked_before: r"Linear._forward_pre_hooks",
    hooked_object: r"Linear.lin._forward_hooks\[\d+\].lines",
}
REPLACES = {
    Lazy: "adds or removes scale",
    FilledLater: "adds or removes scale",
    Emptied: "adds or removes mean",
    ReplacedParameter: "replaces lin.weight",
    Reshaped: r"makes mean \[1, 3\] torch.float64",
    WithGraph: "leaves mean with a graph of gradients",
    Shared: "replaces other.mean",
    EvaluatedToo: "replaces mean in evaluation mode",
}


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
