"""What limits a step: its batched complex matrix products, and the rate of this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import NamedTuple

import torch

from cvtrain.config.schema import Config

REPETITIONS = 20
LARGE = 1024
"""Rows and columns of the real matrices whose product is as quick as products get here."""


class Shape(NamedTuple):
    """Of a product [rows, inner] × [inner, columns]."""

    rows: int
    inner: int
    columns: int


def products_of_step(widths: list[int], batch: int) -> list[Shape]:
    """The complex products of one forward and backward pass of a network of linear layers.

    Args:
        widths: of its input, hidden layers and output.
        batch: samples.

    Returns:
        for each layer its output and the gradient of its weight; for all but the first one the
        gradient of its input too.
    """
    shapes = []
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        shapes += [Shape(batch, inputs, outputs), Shape(outputs, batch, inputs)]
        if number:
            shapes.append(Shape(batch, outputs, inputs))
    return shapes


def seconds_of(work: Callable[[], object]) -> float:
    """The shortest time of some repetitions."""
    work()
    spent = []
    for _ in range(REPETITIONS):
        began = perf_counter()
        work()
        spent.append(perf_counter() - began)
    return min(spent)


@dataclass(frozen=True)
class Limit:
    """A row of the table that trains nothing: `products` or `peak`, for a stack of `size` runs."""

    name: str
    size: int
    widths: tuple[int, ...] = (64, 64, 64, 10)
    batch: int = 64
    overrides: tuple[str, ...] = ()

    def train(self, configs: list[Config]) -> None:
        """There is nothing to compile."""

    def cost(self, common: tuple[str, ...]) -> float:
        """Milliseconds per run and step."""
        shapes = products_of_step([*self.widths], self.batch)
        return 1e3 * (self._products(shapes) if self.name == "products" else self._peak(shapes))

    def _products(self, shapes: list[Shape]) -> float:
        operands = [
            (
                torch.randn(self.size, shape.rows, shape.inner, dtype=torch.complex64),
                torch.randn(self.size, shape.inner, shape.columns, dtype=torch.complex64),
            )
            for shape in shapes
        ]
        return seconds_of(lambda: [torch.bmm(a, b) for a, b in operands]) / self.size

    def _peak(self, shapes: list[Shape]) -> float:
        a, b = torch.randn(2, LARGE, LARGE)
        rate = 2 * LARGE**3 / seconds_of(lambda: a @ b)
        # A complex product is four real ones.
        return sum(8 * shape.rows * shape.inner * shape.columns for shape in shapes) / rate
