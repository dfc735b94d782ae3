"""What a forward leaves behind beside its network's buffers, found by looking before and after.

A stack calls a forward once for all of its members, and within `vmap`. What the forward keeps in a
plain attribute, a list, a counter, a hook's closure or its Python module would thus be common to
the members, updated at other moments than in a run by itself, or a tensor of `vmap` that cannot be
used any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from cvtrain.models.object_state import ObjectState


class StatefulForward(RuntimeError):
    """A forward changes what a stack does not keep for each of its members.

    Attributes:
        told: what it changes, without what it should.
    """

    def __init__(self, told: str) -> None:
        super().__init__(f"{told}: should change nothing but buffers, and those in training mode")
        self.told = told


@contextmanager
def nothing_left_behind(network: nn.Module) -> Iterator[None]:
    """Inside, `network` is called once, with stacked parameters and buffers that are its own.

    In training mode it may change its buffers. In evaluation mode it may not: how many samples are
    evaluated at once, and beside which other members, is not the same as in a run by itself.

    Raises:
        StatefulForward: it changed something else.
    """
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    kept = dict(network.named_parameters()) if network.training else tensors
    versions = {name: tensor._version for name, tensor in kept.items()}
    before = ObjectState.of(network, tensors.values())
    yield
    for name, tensor in kept.items():
        if tensor._version != versions[name]:
            raise StatefulForward(_changes(f"{type(network).__name__}.{name}", network.training))
    where = before.first_difference(ObjectState.of(network, tensors.values()))
    if where is not None:
        raise StatefulForward(_changes(where, network.training))


def backward_hook(networks: Sequence[nn.Module]) -> str | None:
    """Where networks have a hook on gradients, which `vmap` would not call, or None.

    A parameter's hook stays with the parameter, and is not one of the stacked ones.
    """
    for network in networks:
        for name, layer in network.named_modules():
            if layer._backward_hooks or layer._backward_pre_hooks:
                return name or type(network).__name__
        for name, parameter in network.named_parameters():
            if parameter._backward_hooks or parameter._post_accumulate_grad_hooks:
                return name
    return None


def _changes(where: str, training: bool) -> str:
    return f"its forward changes {where}" + ("" if training else " in evaluation mode")
