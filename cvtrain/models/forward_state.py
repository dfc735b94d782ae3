"""Detection of state that a forward keeps outside its network's buffers.

A stack calls a forward once for all members, within `vmap`. State that the forward keeps in a plain
attribute, a list, a counter, the closure of a hook or its Python module would be shared by all
members, would be updated at other times than in a run by itself, or would be a tensor that is
invalid outside `vmap`. The state of all objects that a forward may reach is therefore compared
before and after a call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from cvtrain.models.object_state import ObjectState


class StatefulForward(RuntimeError):
    """A forward changes state that a stack does not keep for each of its members.

    Attributes:
        change: the change, e.g. ``its forward changes MyNet.counter``.
    """

    def __init__(self, change: str) -> None:
        super().__init__(f"{change}: should change nothing but buffers, and those in training mode")
        self.change = change


@contextmanager
def nothing_left_behind(network: nn.Module) -> Iterator[None]:
    """Context that checks that the call of `network` within it changes nothing but its buffers.

    In training mode the forward may change its buffers. In evaluation mode it may not: the number
    of samples evaluated at once, and the other members, differ from a run by itself.

    Raises:
        StatefulForward: the forward changed something else.
    """
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    constant = dict(network.named_parameters()) if network.training else tensors
    versions = {name: tensor._version for name, tensor in constant.items()}
    before = ObjectState.of(network, tensors.values())
    yield
    for name, tensor in constant.items():
        if tensor._version != versions[name]:
            raise StatefulForward(_changes(f"{type(network).__name__}.{name}", network.training))
    where = before.first_difference(ObjectState.of(network, tensors.values()))
    if where is not None:
        raise StatefulForward(_changes(where, network.training))


def backward_hook(networks: Sequence[nn.Module]) -> str | None:
    """Name of the first layer or parameter with a hook on gradients, or None.

    `vmap` does not call the hook of a layer, and the stacked parameters do not have the hooks of
    the plain ones.
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
