"""A network made fit for a stack: for `torch.func.vmap` over stacked parameters and buffers."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torchcvnn.nn
from torch import nn

from cvtrain.models.stacked.batch_norm import MemberBatchNorm, MemberComplexBatchNorm
from cvtrain.models.stacked.dropout import DROPOUT_LAYERS, MemberDropout
from cvtrain.models.stacked.generators import MemberGenerators

# By the forward that a layer has or inherits: a subclass with its own is not touched.
_MIXED_IN: dict[Callable[..., Any], type[nn.Module]] = {
    torchcvnn.nn.BatchNorm2d.forward: MemberComplexBatchNorm,
    nn.BatchNorm2d.forward: MemberBatchNorm,
    **{layer.forward: MemberDropout for layer in DROPOUT_LAYERS},
}


def stackable(network: nn.Module, generators: MemberGenerators) -> nn.Module:
    """A deep copy of `network` that may be called under `vmap` with ``randomness="error"``.

    torchcvnn's batch normalisation, torch's with a cumulative average, and dropout are adapted in
    place: they keep their parameters, buffers, hooks and ``state_dict`` keys, and remain instances
    of their class. Running statistics are written into the buffers that ``functional_call`` is
    given.

    Masks are drawn from `generators`, of K members under `vmap` over K and of one without `vmap`.
    ``F.dropout`` in a forward of the user's own still draws from torch's global random state, which
    `vmap` refuses.
    """
    network = deepcopy(network)
    for layer in network.modules():
        mixed_in = _MIXED_IN.get(type(layer).forward)
        if mixed_in is not None:
            kind = type(layer)
            layer.__class__ = type(kind.__name__, (mixed_in, kind), {})
        if isinstance(layer, MemberDropout):
            layer.draw_for(network, generators)
    return network
