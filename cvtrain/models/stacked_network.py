"""K networks of one architecture as one module, their tensors stacked on a leading axis."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from cvtrain.models.network_difference import difference
from cvtrain.models.stackable import stackable
from cvtrain.models.stackable_generators import MemberGenerators


class StackedNetwork(nn.Module):
    """Network k of the stack has weights, buffers and random state of its own.

    Args:
        networks: the distinct ones, of one architecture.
        members: for each of K members, which of the `networks` it starts as.
        seeds: K, of the members' random states (dropout).

    Raises:
        ValueError: the networks differ in more than the values of parameters and buffers.

    Attributes:
        network: holds the stacked tensors under their plain names; not to be called by itself.
    """

    def __init__(
        self, networks: Sequence[nn.Module], members: Sequence[int], seeds: Sequence[int]
    ) -> None:
        super().__init__()
        if (found := difference(networks)) is not None:
            raise ValueError(f"the networks differ in {found}")
        self._generators = MemberGenerators(seeds)
        self._seeds = list(seeds)
        self.network = stackable(networks[0], self._generators)
        chosen = torch.tensor(members)
        for name, parameter in list(self.network.named_parameters()):
            stacked = torch.stack([n.get_parameter(name).detach() for n in networks])
            leaf = nn.Parameter(stacked[chosen], requires_grad=parameter.requires_grad)
            self._replace(parameter, leaf)
        for name, buffer in list(self.network.named_buffers()):
            stacked = torch.stack([n.get_buffer(name) for n in networks])
            self._replace(buffer, stacked[chosen])

    def seed(self, device: torch.device) -> None:
        """Begin the members' random states anew, on `device`."""
        self._generators.seed(self._seeds, device)

    def random_state_of(self, member: int) -> Tensor:
        """[bytes], uint8: of the member's random numbers."""
        return self._generators.state_of(member)

    def restore_random_states(self, states: Tensor) -> None:
        """Continue where the members' `states` [K, bytes] were taken."""
        self._generators.restore(states)

    def forward(self, x: Tensor, members: slice | None = None) -> Tensor:
        """The outputs [K, N, …] of x [K, N, …]; for some `members` alone (in evaluation mode),
        those of an x of as many."""
        parameters: dict[str, Tensor] = dict(self.network.named_parameters())
        buffers = dict(self.network.named_buffers())
        if members is not None:
            parameters = {name: tensor[members] for name, tensor in parameters.items()}
            buffers = {name: tensor[members] for name, tensor in buffers.items()}
        outputs: Tensor = vmap(self._member)(parameters, buffers, x)
        return outputs

    def member_state(self, member: int) -> dict[str, Tensor]:
        """What ``state_dict()`` of the plain network would be, as views into the stack."""
        return {name: tensor[member] for name, tensor in self.network.state_dict().items()}

    def _member(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor
    ) -> Tensor:
        output: Tensor = functional_call(self.network, (parameters, buffers), (x,))
        return output

    def _replace(self, plain: Tensor, stacked: Tensor) -> None:
        """Put `stacked` wherever `plain` stands: a shared parameter stays shared."""
        for layer in self.network.modules():
            for owned in (layer._parameters, layer._buffers):
                for name, tensor in owned.items():
                    if tensor is plain:
                        owned[name] = stacked  # type: ignore[assignment]  # a parameter for one
