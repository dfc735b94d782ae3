"""Real networks on (Re, Im), to compare complex ones with: as many real numbers to be learned.

A real twin has the architecture of the complex network with real layers: its input has Re and Im as
twice as many features, and its hidden widths are scaled by one factor so that it has, as nearly as
whole widths can, the real degrees of freedom of the complex network, in which a complex parameter
counts as two. The factor lies between 1 (all parameters in the first layer, [2·in, w]) and √2 (all
between hidden layers, since 2·w² = (√2·w)²). There, w itself would have half of the numbers, and
2·w twice as many. From widths of 8 on, what is met is within 2 %; below, a width is a coarse step.

Mönning and Manandhar 2018, Evaluation of complex-valued neural networks on real-valued
classification tasks; Barrachina et al. 2021, Complex-valued vs. real-valued neural networks for
classification perspectives: an example on non-circular data.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cache, lru_cache
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from cvtrain.models.parameters import count_parameters

TwinOutput: TypeAlias = Literal["real", "complex"]
"""Real outputs, as logits are, or complex ones: pairs of real ones."""


def real_outputs(out_features: int, output: TwinOutput) -> int:
    """How many real outputs make `out_features` of the kind `output`.

    Raises:
        ValueError: there is no such kind.
    """
    if output not in get_args(TwinOutput):
        raise ValueError(f"output={output}: should be one of {', '.join(get_args(TwinOutput))}")
    return 2 * out_features if output == "complex" else out_features


def stacked_parts(x: Tensor) -> Tensor:
    """(Re x, Im x) [N, 2·C, ...], real, of x [N, C, ...], complex."""
    return torch.cat((x.real, x.imag), dim=1)


def of_kind(y: Tensor, output: TwinOutput) -> Tensor:
    """y [N, C, ...], real; or, where `output` is complex, its first half plus i times its second
    [N, C/2, ...]."""
    return torch.complex(*y.chunk(2, dim=1)) if output == "complex" else y


def matched_widths(
    network: Callable[..., nn.Module],
    twin: Callable[..., nn.Module],
    widths: Sequence[str],
    *,
    output: TwinOutput,
    **arguments: Hashable,
) -> dict[str, Any]:
    """The arguments `widths` of the `twin` that has the real degrees of freedom of the complex
    `network`: round(f·w) of each width w, at least 1, with the factor f that comes nearest; where
    several widths step at that f, perhaps some of them only.

    Nothing is drawn, and no memory taken by weights.

    Args:
        network, twin: classes; both take the `arguments`, the twin also `output` and `matched`.
        widths: names of arguments, each a width or a tuple of widths; without any width in them
            there is nothing to scale.
        output: of the twin.
        arguments: of the complex network.

    Raises:
        ValueError: a width is less than 1, or one of the classes refuses its arguments.
    """
    return dict(_matched_widths(network, twin, tuple(widths), output, tuple(arguments.items())))


# In a sweep twins are built by the hundred, and this takes the time of building twenty.
@lru_cache
def _matched_widths(
    network: Callable[..., nn.Module],
    twin: Callable[..., nn.Module],
    names: tuple[str, ...],
    output: TwinOutput,
    arguments: tuple[tuple[str, Hashable], ...],
) -> tuple[tuple[str, Any], ...]:
    given: dict[str, Any] = dict(arguments)
    flat = [w for name in names for w in _as_tuple(given[name])]

    def named(found: Sequence[int]) -> dict[str, Any]:
        rest = iter(found)
        scaled = {name: tuple(next(rest) for _ in _as_tuple(given[name])) for name in names}
        return {name: w if isinstance(given[name], tuple) else w[0] for name, w in scaled.items()}

    def count(found: tuple[int, ...]) -> int:
        built = given | named(found)
        return _degrees_of_freedom(lambda: twin(**built, output=output, matched=False))

    wanted = _degrees_of_freedom(lambda: network(**given))
    return tuple(named(nearest_widths(flat, wanted, count)).items())


def nearest_widths(
    widths: Sequence[int], wanted: int, count: Callable[[tuple[int, ...]], int]
) -> tuple[int, ...]:
    """`widths` times one factor, rounded, whose `count` is nearest to `wanted`; as for
    `matched_widths`. The count never falls where a width grows."""

    def scaled(factor: float) -> tuple[int, ...]:
        return tuple(max(1, round(factor * width)) for width in widths)

    if not widths:
        return ()
    if min(widths) < 1:
        raise ValueError(f"widths {list(widths)}: should be at least 1")
    count = cache(count)
    low, high = 0.0, 1.0
    while count(scaled(high)) < wanted:
        high *= 2
    while high - low > 1e-3 / max(widths):
        middle = (low + high) / 2
        low, high = (middle, high) if count(scaled(middle)) < wanted else (low, middle)
    below, above = scaled(low), scaled(high)
    between = [above[:first] + below[first:] for first in range(len(widths) + 1)]
    return min(between, key=lambda found: abs(count(found) - wanted))


def _as_tuple(width: int | tuple[int, ...]) -> tuple[int, ...]:
    return width if isinstance(width, tuple) else (width,)


def _degrees_of_freedom(build: Callable[[], nn.Module]) -> int:
    with torch.device("meta"):
        return count_parameters(build().parameters()).real_degrees_of_freedom
