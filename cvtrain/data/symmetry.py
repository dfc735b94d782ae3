"""Two problems that one complex neuron solves and one real neuron cannot."""

from itertools import product
from typing import Literal

import torch

from cvtrain.data.arguments import ComplexDtype, checked_arguments
from cvtrain.data.dataset import Dataset, Reference
from cvtrain.data.split import Split


@checked_arguments
def symmetry(*, problem: Literal["xor", "symmetry"] = "xor", dtype: ComplexDtype) -> Dataset:
    """Regression of a symbol ±1 ± i that says whether bits differ, or whether they are symmetric.

    Every split holds all patterns of bits xₖ = ±1. The two compared bits are the real and the
    imaginary part of one input. The answer is yes if the real and the imaginary part of the output
    have the same sign::

        xor       z = x₁ + i x₂             4 patterns   yes iff x₁ ≠ x₂   y = i z
        symmetry  z = (x₁ + i x₃, x₂)       8 patterns   yes iff x₁ = x₃   y = z₁

    A linear map with complex weights and without bias has no error, and only one such map does. A
    real neuron decides by the sign of an affine function of Re z and Im z, and no such sign is
    right for all patterns; a complex neuron has two signs, of Re y and Im y, which cut the plane of
    an input into quarters. Nitta (2003, Neural Networks 16:1101; 2004, Neural Computation 16:73),
    with signs ±1 in place of his steps 0 and 1.

    Args:
        problem: `xor`, of two bits, or `symmetry`, of three.
        dtype: complex64 or complex128: dtype of inputs `[4, 1]` or `[8, 2]`, targets `[N, 1]` and
            the solution `[1, 1]` or `[1, 2]`.

    Raises:
        ValueError: `problem` or `dtype` is not one of these.
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
