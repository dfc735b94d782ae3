"""Count, cast and jitter a network's parameters so that complex and real ones stay what they
are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

LONGEST_LINE = 160
"""Largest number of characters of torch's list of keys that do not match."""


@dataclass(frozen=True)
class ParameterCount:
    """Number of entries of a network's parameters; shared parameters count once.

    Attributes:
        complex: number of entries of complex parameters.
        real: number of entries of real parameters.
        bytes: memory of both, in their present dtypes.
    """

    complex: int
    real: int
    bytes: int

    @property
    def real_degrees_of_freedom(self) -> int:
        """Real numbers in the parameters: a complex entry counts as two."""
        return 2 * self.complex + self.real

    @property
    def kind(self) -> str:
        """``purely complex``, ``mixed`` or ``real``."""
        if not self.complex:
            return "real"
        return "mixed" if self.real else "purely complex"


def count_parameters(parameters: Iterable[Tensor]) -> ParameterCount:
    """Count complex and real entries; `numel` would count a complex entry as one number."""
    parameters = list(parameters)
    return ParameterCount(
        complex=sum(p.numel() for p in parameters if p.is_complex()),
        real=sum(p.numel() for p in parameters if not p.is_complex()),
        bytes=sum(p.nbytes for p in parameters),
    )


class RealLayers:
    """Marks a network whose layers are all real: `cast_parameters` takes a real dtype for it."""


def check_complex(dtype: torch.dtype) -> None:
    """Raise ValueError unless `dtype` is complex."""
    if not dtype.is_complex:
        raise ValueError(f"dtype={dtype}: should be torch.complex64 or torch.complex128")


def cast_parameters(module: nn.Module, dtype: torch.dtype) -> None:
    """Cast parameters and buffers in place to one precision: complex ones to `dtype`, real ones to
    the matching real dtype. Integers are not cast.

    ``module.to(dtype)`` would make a real parameter complex, or a complex one real. Use it before
    training only: existing gradients and optimizers keep the old precision.

    Raises:
        ValueError: `dtype` is real and `module` is not a `RealLayers`.
    """
    if not isinstance(module, RealLayers):
        check_complex(dtype)
    for tensor in chain(module.parameters(), module.buffers()):
        if tensor.is_complex():
            tensor.data = tensor.data.to(dtype)
        elif tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype.to_real())


def put_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load the weights of a state dict into a network, in the network's precision.

    Raises:
        ValueError: the weights belong to another network, or are real where the network's are
            complex or vice versa (``load_state_dict`` would drop an imaginary part).
    """
    for name, tensor in module.state_dict().items():
        weight = weights.get(name)
        if isinstance(weight, Tensor) and weight.is_complex() != tensor.is_complex():
            kind = "complex" if weight.is_complex() else "real"
            raise ValueError(f"{name} is {kind}, should be {tensor.dtype}")
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:3]]
        problems = "; ".join(
            line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in lines
        )
        raise ValueError(f"is of another network: {problems}") from None


@torch.no_grad()
def jitter_parameters(module: nn.Module, relative: float, generator: torch.Generator) -> None:
    """w ← w + relative · rms(w) · n in place, for each parameter w, with rms(w) = √mean|w|².

    n is standard normal, E|n|² = 1, complex and circular for a complex w (½ in each of Re and Im).
    A parameter of zeros stays zero.

    Args:
        module: network; noise is drawn for its parameters in their order.
        relative: size of the noise.
        generator: source of n, on the parameters' device.
    """
    for w in module.parameters():
        rms = w.abs().square().mean().sqrt()
        n = torch.randn(w.shape, dtype=w.dtype, device=w.device, generator=generator)
        w.add_(relative * rms * n)


MOST_LAYERS = 200
"""Largest number of layers of a part of a network: the 1001 layers of He et al. 2016
(arXiv:1603.05027) are three times 111 blocks."""


def check_depth(name: str, layers: int) -> None:
    """Raise ValueError unless a number of layers is from 1 to `MOST_LAYERS`."""
    if not 1 <= layers <= MOST_LAYERS:
        raise ValueError(f"{name}={layers}: should be at least 1 and at most {MOST_LAYERS}")
