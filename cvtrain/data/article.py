"""A single sample, small enough to follow the factor 2 by hand."""

import torch

from cvtrain.data.arguments import ComplexDtype, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.split import Split


@checked_arguments
def article(*, dtype: ComplexDtype) -> Dataset:
    """Regression of y = 1 on x = 1 + i, the only sample of every split.

    For the model y = w x and the loss |y − ŷ|², a weight w = 1 has loss 1, `w.grad` is 2 + 2i and
    ∂L/∂w* is 1 + i. Gradient descent on `w.grad` is stable for lr < 1/|x|² = ½, on ∂L/∂w* for
    lr < 1. The solution is w° = 1/x = (1 − i)/2.

    Args:
        dtype: complex64 or complex128: dtype of inputs `[1, 1]`, targets `[1, 1]` and w° `[1, 1]`.

    Raises:
        ValueError: `dtype` is not complex.
    """
    sample = Split(torch.tensor([[1 + 1j]], dtype=dtype), torch.tensor([[1 + 0j]], dtype=dtype))
    weight = torch.tensor([[0.5 - 0.5j]], dtype=dtype)
    return Dataset(
        sample, sample, sample, task="regression", out_features=1, solution={"weight": weight}
    )
