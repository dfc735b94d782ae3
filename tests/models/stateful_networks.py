"""Networks whose forward leaves something behind, each in a way of its own."""

from __future__ import annotations

import itertools
import random
from collections import deque

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


class FirstOfTheClass(Linear):
    """An attribute that its class has, until the first call gives the object one of its own."""

    count = 0

    def leave(self, x):
        self.count += 1


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
            self.numbers = (number for number in range(10**6))
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


class Switching(Linear):
    def leave(self, x):
        self.lin.eval() if self.lin.training else self.lin.train()
