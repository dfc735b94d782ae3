"""From the gradient that autograd left to the one that the optimizer receives."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from cvtrain.gradients.clipping import Clip
from cvtrain.gradients.convention import Convention


def transform_gradients(
    gradients: Mapping[str, Tensor], convention: Convention, clip: Clip
) -> tuple[dict[str, Tensor], Tensor]:
    """clip(convention(g)): a threshold is about what the optimizer would get, so it comes second.

    Args:
        gradients: g = ∂L/∂Re w + i ∂L/∂Im w by parameter name, [K, ...]; never modified.
        convention: acts on the complex ones.
        clip: acts on all of them.

    Returns:
        The transformed gradients, in the dtypes of `gradients` and the very same tensors where
        nothing changes; and the clip's coefficient, real [K].
    """
    return clip.clip({name: convention.apply(g) for name, g in gradients.items()})
