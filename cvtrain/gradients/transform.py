"""Transform the gradient of autograd into the one that the optimizer receives."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from cvtrain.gradients.clipping import Clip
from cvtrain.gradients.convention import Convention


def transform_gradients(
    gradients: Mapping[str, Tensor], convention: Convention, clip: Clip
) -> tuple[dict[str, Tensor], Tensor]:
    """clip(convention(g)). Clipping comes second, since a threshold refers to the gradient that the
    optimizer would receive.

    Args:
        gradients: g = ∂L/∂Re w + i ∂L/∂Im w by parameter name, [K, ...]; never modified.
        convention: convention, which acts on complex gradients.
        clip: clipping, which acts on all gradients.

    Returns:
        the transformed gradients, in the dtypes of `gradients`, and the same tensor objects if
        nothing changes; and the clip's coefficient, real [K].
    """
    return clip.clip({name: convention.apply(g) for name, g in gradients.items()})
