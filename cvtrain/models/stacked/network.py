"""K networks of one architecture as one module, their tensors stacked on a leading axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import deepcopy
from typing import Any

import torch
import torchcvnn.nn
from torch import Tensor, nn
from torch.func import functional_call, vmap

from cvtrain.models.forward_state import StatefulForward, backward_hook, nothing_left_behind
from cvtrain.models.stacked.batch_norm import MemberBatchNorm, MemberComplexBatchNorm
from cvtrain.models.stacked.compatibility import (
    difference,
    individual_attributes,
    is_compiled,
    names_attribute,
    unstackable,
)
from cvtrain.models.stacked.generators import MemberGenerators
from cvtrain.models.stacked.individual import hidden, hide
from cvtrain.models.stacked.member_functions import MemberFunctions, calls_member_functions
from cvtrain.models.stacked.recurrent import MemberRecurrent

# By the forward that a layer has or inherits: a subclass with its own forward is not changed.
_MIXED_IN: dict[Callable[..., Any], type[nn.Module]] = {
    torchcvnn.nn.BatchNorm2d.forward: MemberComplexBatchNorm,
    nn.BatchNorm2d.forward: MemberBatchNorm,
    **{layer.forward: MemberRecurrent for layer in (nn.RNN, nn.LSTM, nn.GRU)},
}


def stackable(network: nn.Module, generators: MemberGenerators) -> nn.Module:
    """Make a deep copy of `network` that can be called under `vmap` with ``randomness="error"``.

    torchcvnn's batch normalisation, torch's with a cumulative average, torch's recurrent layers,
    and layers that call dropout (also ``F.dropout`` in a user's forward) are adapted in place: they
    keep their parameters, buffers, hooks and ``state_dict`` keys, and remain instances of their
    class. Running statistics are written into the buffers that ``functional_call`` is given. Layers
    wrapped by ``torch.compile`` are called without compilation.

    Masks are drawn from `generators`: of K members under `vmap` over K, of one member without
    `vmap`.
    """
    network = deepcopy(network)
    for layer in network.modules():
        mixed_in = _MIXED_IN.get(type(layer).forward)
        if mixed_in is not None and not isinstance(layer, mixed_in):
            _mix_in(layer, mixed_in)
        if isinstance(layer, MemberRecurrent):
            vars(layer).pop("_flat_weights", None)
    called = network
    while is_compiled(called):
        called = called.get_submodule("_orig_mod")
    if not isinstance(called, MemberFunctions) and calls_member_functions(called):
        _mix_in(called, MemberFunctions)
    if isinstance(called, MemberFunctions):
        called.draw_from(generators)
    return network


def _mix_in(layer: nn.Module, mixed_in: type[nn.Module]) -> None:
    kind = type(layer)
    # A forward may write to its class: the class remains one of its own Python module.
    layer.__class__ = type(kind.__name__, (mixed_in, kind), {"__module__": kind.__module__})


class _WithBuffers(nn.Module):
    """Returns the output with the parameters and buffers after the forward, under all names of a
    shared tensor."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        output = self.network(*inputs)
        parameters = self.named_parameters(remove_duplicate=False)
        return output, dict(parameters), dict(self.named_buffers(remove_duplicate=False))


class StackedNetwork(nn.Module):
    """K networks of one architecture as one module; each has its weights, buffers and random state.

    In training mode a forward may change buffers, in place or by assignment (``self.mean = …``).
    Its 1st, 2nd, 4th, 8th, … call in each mode is checked to change nothing else.

    Args:
        networks: distinct networks of one architecture.
        members: index in `networks` of each of the K members' first weights.
        seeds: seeds of the members' random states (dropout), K.

    Raises:
        ValueError: the networks differ in more than the values of parameters and buffers, or have
            hooks on gradients. Reading an attribute in which they differ is an error: at once if
            the code of their forward names the attribute, otherwise when it is called.

    Attributes:
        network: a network that holds the stacked tensors under their plain names; call the stack
            instead.
    """

    def __init__(
        self, networks: Sequence[nn.Module], members: Sequence[int], seeds: Sequence[int]
    ) -> None:
        super().__init__()
        if (part := difference(networks)) is not None:
            raise ValueError(f"the networks differ in {part}")
        if (reason := unstackable(networks[0])) is not None:
            raise ValueError(reason)
        individual = individual_attributes(networks)
        if (layer := backward_hook(networks)) is not None:
            raise ValueError(f"the network has a hook on the gradients of {layer}")
        self._generators = MemberGenerators(seeds)
        self._seeds = list(seeds)
        self.network = stackable(networks[0], self._generators)
        for (path, attribute), reason in individual.items():
            if names_attribute(networks[0].get_submodule(path), attribute):
                raise ValueError(f"{reason}, which their forward reads")
            hide(self.network.get_submodule(path), attribute, reason)
        # In a tuple, which torch does not register as a submodule.
        self._called = (_WithBuffers(self.network),)
        self._calls = Counter[bool]()
        chosen = torch.tensor(members)
        for name, parameter in list(self.network.named_parameters()):
            stacked = torch.stack([n.get_parameter(name).detach() for n in networks])
            leaf = nn.Parameter(stacked[chosen], requires_grad=parameter.requires_grad)
            self._replace(parameter, leaf)
        for name, buffer in list(self.network.named_buffers()):
            stacked = torch.stack([n.get_buffer(name) for n in networks])
            self._replace(buffer, stacked[chosen])
        self._first_names = _shared_names(self)
        self._names = tuple(
            {name for name, _ in named(remove_duplicate=False)}
            for named in (self.named_parameters, self.named_buffers)
        )

    def seed(self, device: torch.device) -> None:
        """Reset the members' random states to their seeds, on `device`."""
        self._generators.seed(self._seeds, device)

    def random_state_of(self, member: int) -> Tensor:
        """Random state [bytes], uint8, of one member."""
        return self._generators.state_of(member)

    def restore_random_states(self, states: Tensor) -> None:
        """Restore the members' random `states` [K, bytes]."""
        self._generators.restore(states)

    def forward(self, inputs: Tensor | tuple[Tensor, ...], members: slice | None = None) -> Tensor:
        """Outputs [K, N, …] of inputs [K, N, …], or of a tuple of several such.

        Args:
            inputs: inputs of each member.
            members: a range of members, in evaluation mode; None: all.

        Raises:
            StatefulForward: the network's forward changes state that a stack does not keep per
                member.
        """
        parameters: dict[str, Tensor] = dict(self.named_parameters())
        buffers = dict(self.named_buffers())
        if members is not None:
            parameters = {name: tensor[members] for name, tensor in parameters.items()}
            buffers = {name: tensor[members] for name, tensor in buffers.items()}
        self._calls[self.training] += 1
        checked = self._calls[self.training].bit_count() == 1  # a power of two
        outputs: Tensor
        with ExitStack() as around:
            if checked:
                around.enter_context(nothing_left_behind(self.network))
            around.enter_context(hidden())
            member_inputs = inputs if isinstance(inputs, tuple) else (inputs,)
            outputs, replaced = vmap(self._member)(parameters, buffers, member_inputs)
        for name, buffer in replaced.items():
            self._put(name, buffer, buffers[name])
        return outputs

    @property
    def members(self) -> int:
        """The number of networks, K."""
        return len(self._seeds)

    def call_with(self, parameters: dict[str, Tensor], inputs: tuple[Tensor, ...]) -> Tensor:
        """Outputs [n, N, …] of n members with other parameters, for networks without buffers.

        Args:
            parameters: [n, …], by plain name.
            inputs: [n, N, …] each.
        """
        named = {f"network.{name}": tensor for name, tensor in parameters.items()}
        with hidden():
            outputs: Tensor = vmap(self._member)(named, {}, inputs)[0]
        return outputs

    def member_state(self, member: int) -> dict[str, Tensor]:
        """The ``state_dict()`` of one member as a plain network, as views into the stack."""
        return {name: tensor[member] for name, tensor in self.network.state_dict().items()}

    def _member(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: tuple[Tensor, ...]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The output of one member, and the buffers that its forward replaced."""
        (network,) = self._called
        output, *tensors_after = functional_call(network, (parameters, buffers), inputs)
        replaced: dict[str, Tensor] = {}
        for before, after in zip((parameters, buffers), tensors_after, strict=True):
            if after.keys() != self._names[before is buffers]:
                changed = after.keys() ^ self._names[before is buffers]
                raise StatefulForward(f"its forward adds or removes {_shown(min(changed))}")
            for name, tensor in after.items():
                # A shared tensor has its first name; after a move to a device it is no longer
                # shared.
                first = name if name in before else self._first_names.get(name, name)
                if tensor is before.get(first):
                    continue
                if before is parameters or not self.training or name in self._first_names:
                    mode = "" if self.training else " in evaluation mode"
                    raise StatefulForward(f"its forward replaces {_shown(name)}{mode}")
                replaced[name] = tensor
        return output, replaced

    def _put(self, name: str, buffer: Tensor, before: Tensor) -> None:
        """Store the tensor that the members' forwards assigned to a buffer."""
        if (buffer.shape, buffer.dtype) != (before.shape, before.dtype):
            raise StatefulForward(
                f"its forward makes {_shown(name)} {list(buffer.shape[1:])} {buffer.dtype}"
            )
        if buffer.requires_grad:
            raise StatefulForward(f"its forward leaves {_shown(name)} with a graph of gradients")
        path, _, leaf = name.rpartition(".")
        # A value common to all members is an expanded tensor, which cannot be written to.
        self.get_submodule(path)._buffers[leaf] = buffer.contiguous()

    def _replace(self, plain: Tensor, stacked: Tensor) -> None:
        """Put `stacked` wherever `plain` occurs: a shared parameter stays shared."""
        for layer in self.network.modules():
            for owned in (layer._parameters, layer._buffers):
                for name, tensor in owned.items():
                    if tensor is plain:
                        owned[name] = stacked  # type: ignore[assignment]  # a parameter for one


def _shared_names(network: nn.Module) -> dict[str, str]:
    """Map every name of a tensor with several names to the first of them."""
    names: dict[int, list[str]] = {}
    for kind in (network.named_parameters, network.named_buffers):
        for name, tensor in kind(remove_duplicate=False):
            names.setdefault(id(tensor), []).append(name)
    return {name: shared[0] for shared in names.values() if len(shared) > 1 for name in shared}


def _shown(name: str) -> str:
    return name.removeprefix("network.")
