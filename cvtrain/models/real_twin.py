"""Real networks on (Re, Im) with as many real degrees of freedom as a complex network, for
comparison.

A real twin has the architecture of the complex network with real layers. Its input has Re and Im as
twice as many features. Its hidden widths are scaled by one factor, so that it has the real degrees
of freedom of the complex network as nearly as whole widths allow; a complex parameter counts as
two. The factor lies between 1 (all parameters in the first layer, [2·in, w]) and √2 (all parameters
between hidden layers, since 2·w² = (√2·w)²). Between hidden layers the width w would have half of
the numbers, and 2·w twice as many. From widths of 8 on the number is met within 2 %; smaller widths
have coarse steps.

Mönning and Manandhar 2018, Evaluation of complex-valued neural networks on real-valued
classification tasks; Barrachina et al. 2021, Complex-valued vs. real-valued neural networks for
classification perspectives: an example on non-circular data.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Sequence
from functools import cache, lru_cache
from inspect import Parameter
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from cvtrain.models.convolution import as_images, image_channels
from cvtrain.models.parameters import RealLayers, check_complex, count_parameters

TwinOutput: TypeAlias = Literal["real", "complex"]


class RealTwin(RealLayers):
    """Base of the real twins; it comes before the complex network whose layers it makes real.
    A twin has the constructor of the complex network with the same defaults, and two arguments
    more::

        class RealMlp(RealTwin, Mlp, widths=("hidden",)): ...

    Args:
        output: ``real`` outputs, such as logits, or ``complex`` ones for complex targets: the first
            half of the real outputs are their real parts, the second half their imaginary parts.
        matched: whether the widths are scaled to the real degrees of freedom of the complex network
            with the same arguments; otherwise they are used unchanged.
        dtype: complex64 or complex128: dtype of the input; the twin has the matching real
            precision.

    Raises:
        ValueError: as for the complex network; or the output is unknown, or an image would be added
            to real outputs.
    """

    _network: ClassVar[Any]  # the complex class, whose methods are called with the twin
    _widths: ClassVar[tuple[str, ...]]
    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, widths: tuple[str, ...] = ()) -> None:
        super().__init_subclass__()
        if not widths:  # a subclass of a twin
            return
        cls._network, cls._widths = cls.__bases__[1], widths
        *arguments, dtype = inspect.signature(cls._network, eval_str=True).parameters.values()
        arguments += [
            Parameter("output", Parameter.KEYWORD_ONLY, default="real", annotation=TwinOutput),
            Parameter("matched", Parameter.KEYWORD_ONLY, default=True, annotation=bool),
            dtype,
        ]
        cls.__signature__ = inspect.Signature(arguments)

        # A function of this class, since the types of a configuration's values are read from it.
        def __init__(self: RealTwin, *args: Any, **keywords: Any) -> None:
            RealTwin.__init__(self, *args, **keywords)

        __init__.__annotations__ = {p.name: p.annotation for p in arguments}
        cls.__init__ = __init__  # type: ignore[method-assign]  # with the arguments of the class

    def __init__(self, *args: Any, **keywords: Any) -> None:
        bound = self.__signature__.bind(*args, **keywords)
        bound.apply_defaults()
        self._build(**bound.arguments)

    def _build(
        self,
        *,
        out_features: int,
        output: TwinOutput,
        matched: bool,
        dtype: torch.dtype,
        **arguments: Any,
    ) -> None:
        check_complex(dtype)
        arguments = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in arguments.items()
        }
        if matched:
            twin: Any = type(self)
            arguments |= matched_widths(
                self._network,
                twin,
                self._widths,
                output=output,
                out_features=out_features,
                **arguments,
                dtype=dtype,
            )
        if output not in get_args(TwinOutput):
            raise ValueError(f"output={output}: should be one of {', '.join(get_args(TwinOutput))}")
        if arguments.get("residual") and output == "real":
            raise ValueError("residual=True: images are complex, so it should be output=complex")
        if "in_features" in arguments:
            arguments["in_features"] *= 2
        else:
            shape = arguments["input_shape"]
            arguments["input_shape"] = (2 * image_channels(tuple(shape)), *shape[-2:])
        outputs = 2 * out_features if output == "complex" else out_features
        self._network.__init__(self, **arguments, out_features=outputs, dtype=dtype.to_real())
        self.output = output

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out, ...], real or complex according to `output`, of x [N, ...], complex:
        flattened, or images [N, H, W] or [N, C, H, W], as for the complex network."""
        flattened = "in_features" in self.__signature__.parameters
        x = x.flatten(1) if flattened else as_images(x)
        y: Tensor = self._network.forward(self, torch.cat((x.real, x.imag), dim=1))
        return torch.complex(*y.chunk(2, dim=1)) if self.output == "complex" else y


def matched_widths(
    network: Callable[..., nn.Module],
    twin: Callable[..., nn.Module],
    widths: Sequence[str],
    *,
    output: TwinOutput,
    **arguments: Hashable,
) -> dict[str, Any]:
    """Find the widths with which `twin` has the real degrees of freedom of the complex `network`.

    They are round(f·w) for each width w, at least 1, with the factor f that comes nearest. If
    several widths change at that f, possibly only some of them do. It uses no random numbers and
    allocates no weights.

    Args:
        network, twin: classes; both take the `arguments`, the twin also `output` and `matched`.
        widths: names of arguments, each a width or a (possibly empty) tuple of widths.
        output: output of the twin.
        arguments: arguments of the complex network.

    Returns:
        the arguments named in `widths`.

    Raises:
        ValueError: a width is less than 1, or one of the classes rejects its arguments.
    """
    return dict(_matched_widths(network, twin, tuple(widths), output, tuple(arguments.items())))


# Cached: a sweep builds twins by the hundred, and this takes the time of building twenty.
@lru_cache
def _matched_widths(
    network: Callable[..., nn.Module],
    twin: Callable[..., nn.Module],
    names: tuple[str, ...],
    output: TwinOutput,
    arguments: tuple[tuple[str, Hashable], ...],
) -> tuple[tuple[str, Any], ...]:
    unscaled: dict[str, Any] = dict(arguments)
    flat = [width for name in names for width in _as_tuple(unscaled[name])]

    def named(widths: Sequence[int]) -> dict[str, Any]:
        rest = iter(widths)
        scaled = {name: tuple(next(rest) for _ in _as_tuple(unscaled[name])) for name in names}
        return {
            name: of_name if isinstance(unscaled[name], tuple) else of_name[0]
            for name, of_name in scaled.items()
        }

    def count(widths: tuple[int, ...]) -> int:
        scaled = unscaled | named(widths)
        return _degrees_of_freedom(lambda: twin(**scaled, output=output, matched=False))

    wanted = _degrees_of_freedom(lambda: network(**unscaled))
    return tuple(named(nearest_widths(flat, wanted, count)).items())


def nearest_widths(
    widths: Sequence[int], wanted: int, count: Callable[[tuple[int, ...]], int]
) -> tuple[int, ...]:
    """Scale `widths` by one factor, rounded to at least 1, so that `count` is nearest to `wanted`.

    If several widths change at that factor, possibly only some of them do. `count` must not fall
    when a width grows.

    Raises:
        ValueError: a width is less than 1.
    """

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
    return min(between, key=lambda candidate: abs(count(candidate) - wanted))


def _as_tuple(width: int | tuple[int, ...]) -> tuple[int, ...]:
    return width if isinstance(width, tuple) else (width,)


def _degrees_of_freedom(build: Callable[[], nn.Module]) -> int:
    with torch.device("meta"):
        return count_parameters(build().parameters()).real_degrees_of_freedom
