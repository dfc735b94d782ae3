"""The single engine, the reference: one ordinary `nn.Module`, any `torch.optim` optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cvtrain.config.schema import Config
from cvtrain.data.batches import BatchOrder
from cvtrain.data.dataset import Dataset
from cvtrain.data.split import AnySplit
from cvtrain.runs.writer import RunWriter
from cvtrain.training.batch_loader import BatchLoader
from cvtrain.training.data_parallel import Shares, devices_wanted
from cvtrain.training.metrics import Totals, measured
from cvtrain.training.module import Checkpointer, TrainingModule
from cvtrain.training.schedule import learning_rate_factor
from cvtrain.training.stacking import stack_clip, stack_convention
from cvtrain.training.task import build_model, build_objective, build_optimizer

EVALUATION_PIECE = 8192
"""Samples evaluated at once, at most."""


class Single(TrainingModule):
    """A stack of one: the leading axis is added to what is measured, not to what is trained."""

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        recorder: RunWriter,
        save: Checkpointer,
        progressed: Callable[[int], None],
    ) -> None:
        super().__init__(
            config,
            1,
            dataset,
            stack_convention([config]),
            stack_clip([config]),
            config.objective.scale,
            config.ema.decay,
            recorder,
            save,
            progressed,
        )
        self.model: nn.Module = build_model(config, dataset)
        self._objective = build_objective(config)
        order = BatchOrder(len(dataset.train), config.batch_size, config.seed)
        self._data = BatchLoader(dataset, [order])
        self._functions = measured(dataset, self._objective)
        self._trained = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        self._weights: dict[str, Tensor] = {}
        self._kept: dict[str, Tensor] = {}
        self._seen: dict[str, Tensor] = {}
        self._shares: Shares | None = None

    def configure_optimizers(self) -> Any:
        """The configured optimizer, with its schedule where there is one."""
        optimizer = build_optimizer(self.config, self.model)
        factor = learning_rate_factor(self.config.scheduler, self.config.max_steps)
        if factor is None:
            return optimizer
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_fit_start(self) -> None:
        """Take the views of the weights once they are on their device."""
        super().on_fit_start()
        self._weights = {name: p.detach().unsqueeze(0) for name, p in self._trained.items()}
        self._kept = {name: weight.clone() for name, weight in self._weights.items()}
        if devices_wanted(self.config.trainer) > 1:
            self._shares = Shares(self.model)

    def weights(self) -> dict[str, Tensor]:
        """Views of the live parameters."""
        return self._weights

    def weights_to_keep(self) -> dict[str, Tensor]:
        """A copy: optimizers update in place."""
        torch._foreach_copy_(list(self._kept.values()), list(self._weights.values()))
        return self._kept

    def network_buffers(self) -> dict[str, Tensor]:
        """Views of the network's own."""
        return {name: b.unsqueeze(0) for name, b in self.model.named_buffers()}

    def learning_rates(self) -> float:
        """That of the optimizer's first group."""
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def state_dict_of(self, run: int) -> dict[str, Tensor]:
        """The network's own."""
        return self.model.state_dict()

    def optimizer_state_of(self, run: int) -> dict[str, Any]:
        """Its state dict."""
        state: dict[str, Any] = self.trainer.optimizers[0].state_dict()
        return state

    def restore_optimizer(self, states: Sequence[dict[str, Any]], step: int) -> None:
        """Learning rates are part of the state; the scheduler only counts."""
        self.trainer.optimizers[0].load_state_dict(states[0])
        for each in self.trainer.lr_scheduler_configs:
            each.scheduler.last_epoch = step

    def random_state_of(self, run: int) -> Tensor:
        """Torch's own, on the device of training."""
        if self.device.type == "cuda":
            return torch.cuda.get_rng_state(self.device)
        return torch.get_rng_state()

    def restore_random(self, states: Sequence[Tensor]) -> None:
        """Torch's own."""
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(states[0], self.device)
        else:
            torch.set_rng_state(states[0])

    def gradients(self) -> dict[str, Tensor]:
        """Views of p.grad; zeros where there is none."""
        self._seen = {
            name: (torch.zeros_like(p) if p.grad is None else p.grad).unsqueeze(0)
            for name, p in self._trained.items()
        }
        return self._seen

    def put_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Into p.grad, without a copy."""
        for name, p in self._trained.items():
            # Where nothing was changed, or there is no gradient, p.grad stays what it is.
            if p.grad is not None and gradients[name] is not self._seen[name]:
                p.grad = gradients[name].squeeze(0)
                self._seen = {**self._seen, name: gradients[name]}

    def batch_losses(self, batch: int) -> Tensor:
        """The loss of the batch that seed and number give."""
        read = self._data.batch(batch, self.device)
        inputs, targets = read.inputs[0], read.targets[0]

        def loss(model: nn.Module, samples: Tensor | slice) -> Tensor:
            return self._objective.loss_value(model(inputs[samples]), targets[samples])

        if self._shares is None:
            return loss(self.model, slice(None)).unsqueeze(0)
        samples = torch.arange(len(inputs), device=self.device)
        return self._shares.loss(samples, loss).unsqueeze(0)

    def on_train_batch_end(self, outputs: Any, batch: int, batch_idx: int) -> None:
        """Where several processes train, end with the others: a callback may see one of them."""
        if self._shares is not None:
            self._shares.wants_to_end |= self.trainer.should_stop
            self.trainer.should_stop = self._shares.ends
        super().on_train_batch_end(outputs, batch, batch_idx)

    @property
    def asked_to_stop(self) -> bool:
        """Where several processes train, at the step at which all of them know."""
        return super().asked_to_stop if self._shares is None else self._shares.stop

    @torch.no_grad()
    def evaluate(self, split: AnySplit, runs: Sequence[int] | None = None) -> dict[str, Tensor]:
        """The whole split, in evaluation mode, piece by piece."""
        was_training = self.model.training
        self.model.eval()
        totals = Totals(self._functions)
        for piece in self._data.pieces(split, self.device, EVALUATION_PIECE):
            totals.add(self.model(piece.inputs), piece.targets)
        self.model.train(was_training)
        return {name: value.unsqueeze(0) for name, value in totals.values().items()}

    def release(self) -> None:
        """End what reads data ahead."""
        self._data.close()
