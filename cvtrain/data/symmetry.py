"""Two problems that one complex neuron solves and one real neuron cannot."""

from itertools import product
from typing import Literal

import torch

from cvtrain.data.arguments import ComplexDtype, checked_arguments
from cvtrain.data.dataset import Dataset, Reference
from cvtrain.data.split import Split


@checked_arguments
def symmetry(*, problem: Literal["xor", "symmetry"] = "xor", dtype: ComplexDtype) -> Dataset:
    """Regression of a symbol ±1 ± i that tells whether bits differ, or are symmetric.

    Every split is all the patterns of bits xₖ = ±1. The two bits that are compared are the real
    and imaginary part of one input; the answer is yes where the real and the imaginary part of
    the output have the same sign:

        xor       z = x₁ + i x₂             4 patterns   yes iff x₁ ≠ x₂   y = i z
        symmetry  z = (x₁ + i x₃, x₂)       8 patterns   yes iff x₁ = x₃   y = z₁

    so that one linear map of complex weights, without bias, has no error, and is the only one
    that has none. A real neuron decides by the sign of one affine function of Re z and Im z, and
    no such sign is the answer to all patterns; a complex one has two, of Re y and Im y, which cut
    the plane of an input into quarters at a right angle. Nitta (2003, Neural Networks 16:1101;
    2004, Neural Computation 16:73), with the signs ±1 here for his steps 0 and 1.

    Args:
        problem: xor, of two bits, or symmetry, of three.
        dtype: complex64 or complex128, of inputs `[4, 1]` or `[8, 2]`, targets `[N, 1]` and the
            solution `[1, 1]` or `[1, 2]`.

    Raises:
        ValueError: `problem` or `dtype` is another.
    """
    if problem == "xor":
        patterns = [[complex(x1, x2)] for x1, x2 in product((-1, 1), repeat=2)]
        weight = torch.tensor([[1j]], dtype=dtype)
    else:
        patterns = [[complex(x1, x3), x2] for x1, x2, x3 in product((-1, 1), repeat=3)]
        weight = torch.tensor([[1, 0]], dtype=dtype)
    inputs = torch.tensor(patterns, dtype=dtype)
    sample = Split(inputs, inputs @ weight.T)
    return Dataset(
        sample,
        sample,
        sample,
        task="regression",
        out_features=1,
        solution={"weight": weight},
        alphabet=torch.tensor([-1 - 1j, -1 + 1j, 1 - 1j, 1 + 1j], dtype=dtype),
        references=(Reference("test/loss", "one complex neuron", 0.0),),
    )
