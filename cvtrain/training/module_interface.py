"""What an engine provides: K runs' weights, gradients, losses, states, on a leading axis of K."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor

from cvtrain.data.split import AnySplit
from cvtrain.gradients.stacked_number import Number


class ModuleInterface(LightningModule):
    """K runs in lock step, wherever an engine keeps them; `cvtrain.training.module` trains them."""

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Live, detached views [K, …] of the trained parameters, by plain name, until the next
        update."""

    @abstractmethod
    def weights_to_keep(self) -> dict[str, Tensor]:
        """The weights as they are, before the update that now begins and untouched by it."""

    @abstractmethod
    def network_buffers(self) -> dict[str, Tensor]:
        """Live views [K, …] of what the network keeps beside its weights, by plain name."""

    @abstractmethod
    def learning_rates(self) -> Number:
        """Of the first group of parameters: one, or [K]."""

    @abstractmethod
    def state_dict_of(self, run: int) -> dict[str, Tensor]:
        """The state dict of the plain network, as run number `run` has it."""

    @abstractmethod
    def optimizer_state_of(self, run: int) -> dict[str, Any]:
        """What the optimizer keeps for run number `run`, of tensors and plain values."""

    @abstractmethod
    def restore_optimizer(self, states: Sequence[dict[str, Any]], step: int) -> None:
        """Give the optimizer K runs' `optimizer_state_of`, and its schedule `step` updates."""

    @abstractmethod
    def random_state_of(self, run: int) -> Tensor:
        """Where the random numbers of run number `run` are, [bytes], uint8."""

    @abstractmethod
    def restore_random(self, states: Sequence[Tensor]) -> None:
        """Continue K runs' random numbers from `random_state_of`."""

    @abstractmethod
    def gradients(self) -> dict[str, Tensor]:
        """What autograd left, [K, …], for the names of `weights`."""

    @abstractmethod
    def put_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Let the optimizer see `gradients` instead of what `gradients()` returned."""

    @abstractmethod
    def batch_losses(self, batch: int) -> Tensor:
        """Unscaled losses [K] of batch number `batch`, with their graph."""

    @abstractmethod
    def evaluate(self, split: AnySplit, runs: Sequence[int] | None = None) -> dict[str, Tensor]:
        """Loss and metrics [K] of a split, by name, without graph; where only some `runs` are
        wanted, those of others may be NaN."""

    @abstractmethod
    def release(self) -> None:
        """Let go of what training held open, once it has ended in whatever way."""
