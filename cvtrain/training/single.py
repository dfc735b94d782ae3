"""The single engine, which is the reference: one ordinary `nn.Module`, any `torch.optim` optimizer.

A user's LightningModule may replace network and loss.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from cvtrain.config.schema import Config
from cvtrain.data.draws import SplitName
from cvtrain.data.split import network_output
from cvtrain.training.data_parallel import Shares, devices_wanted
from cvtrain.training.logged_values import LoggedValues
from cvtrain.training.metrics import Totals, without_loss
from cvtrain.training.module import TrainingModule, TrainingSettings
from cvtrain.training.own_module import optimizer_and_schedule, own_module
from cvtrain.training.own_steps import OwnEvaluation, training_loss
from cvtrain.training.task import Task
from cvtrain.training.update import Tensors

log = logging.getLogger(__name__)

EVALUATION_PIECE = 8192
"""Largest number of samples that are evaluated at once."""


class Single(TrainingModule):
    """Engine for one run: measured values get a leading axis of 1, trained parameters have none.

    Args:
        config: configuration of the run.
        task: data, network, loss and metrics.
        settings: as for `TrainingModule`.
    """

    leading_axis = False

    def __init__(self, config: Config, task: Task, settings: TrainingSettings) -> None:
        super().__init__([config], task, settings)
        self.model: nn.Module = task.model(config)
        self._own = own_module(config, self.model)
        self._weight_views: dict[str, Tensor] = {}
        self._weight_copies: dict[str, Tensor] = {}
        self._shares: Shares | None = None
        self._logged = LoggedValues(self.validations.tags)
        self._last_row: tuple[int, Tensors, Sequence[int], Tensors] | None = None
        self._columns_added = False

    @property
    def network(self) -> nn.Module:
        """The network itself."""
        return self.model

    def configure_optimizers(self) -> Any:
        """The configured optimizer, with its learning rate schedule if there is one."""
        optimizer, schedule = optimizer_and_schedule(self.config, self.model)
        if schedule is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_fit_start(self) -> None:
        """Create views of the weights, which are now on their device."""
        super().on_fit_start()
        if self.config.compile:
            log.warning("compile=true: the step of a single run is not compiled")
        self._weight_views = super().weights()
        self._weight_copies = {name: weight.clone() for name, weight in self._weight_views.items()}
        if devices_wanted(self.config.trainer) > 1:
            self._shares = Shares(self.model)

    def weights(self) -> dict[str, Tensor]:
        """Detached views [1, …] of the parameters, by name; made once, as updates are in place."""
        return self._weight_views

    def weights_before_update(self) -> dict[str, Tensor]:
        """A copy of the weights, as optimizers update in place; overwritten by the next call."""
        torch._foreach_copy_(list(self._weight_copies.values()), list(self._weight_views.values()))
        return self._weight_copies

    def batch_losses(self, batch: int) -> Tensor:
        """The loss [1] of batch number `batch`, with its graph."""
        read = self._batches.batch(batch, self.device).map(lambda tensor: tensor[0])
        if self._own is not None:
            return training_loss(self._own, read.batch, batch, self.log).unsqueeze(0)

        def loss(model: nn.Module, samples: Tensor | slice) -> Tensor:
            chosen = read.take(samples)
            return self.objective.loss_value(network_output(model, chosen.inputs), *chosen.judged)

        if self._shares is None:
            return loss(self.model, slice(None)).unsqueeze(0)
        samples = torch.arange(len(read), device=self.device)
        return self._shares.loss(samples, loss, read.weights).unsqueeze(0)

    def on_train_batch_end(self, outputs: Any, batch: int, batch_idx: int) -> None:
        """End all processes together: a callback may have ended one of them."""
        if self._shares is not None:
            self._shares.wants_to_end |= self.trainer.should_stop
            self.trainer.should_stop = self._shares.ends
        super().on_train_batch_end(outputs, batch, batch_idx)
        if self._columns_added and self.between_updates and not self.trainer.should_stop:
            # Earlier checkpoints refer to files without these columns.
            self.settings.save(self)
            self._columns_added = False

    def on_train_end(self) -> None:
        """Write the last row, with the values that callbacks logged for the end."""
        super().on_train_end()
        if self._last_row is not None:
            step, signals, runs, logged = self._last_row
            logged |= self._logged.take_whole(signals, self.trainer.logged_metrics)
            self.settings.recorder.write(step, signals, runs, logged)

    def log(self, name: str, value: Any, *args: Any, **options: Any) -> None:
        """Log a value as Lightning does, for the row of the current number of updates or the next
        row.

        Callbacks call this method as `self.log`.

        Raises:
            TypeError: the value is complex; Lightning would keep its real part.
            ValueError: the name is not valid for a column.
        """
        self._logged.check(name, value)
        # Lightning sees batch numbers; in a mean over the run every batch has the same weight.
        super().log(name, value, *args, **{"batch_size": 1, **options})
        if self._last_row is None:  # the loop may continue with an update that is not the run's
            self._logged.add(name, value, self.trainer.logged_metrics)

    def write(
        self, step: int, signals: Mapping[str, Tensor], runs: Sequence[int], last: bool = False
    ) -> None:
        """Write a row with the values that callbacks logged since the previous row. The last row is
        written at the end of training, when Lightning has reduced values logged `on_epoch`."""
        logged = self._logged.take(signals)
        if last:
            copies = {tag: values.clone() for tag, values in signals.items()}
            self._last_row = step, copies, runs, logged
            return
        self._columns_added |= self.settings.recorder.write(step, signals, runs, logged)

    @property
    def asked_to_stop(self) -> bool:
        """Whether a signal asks to end training after this step; several processes agree on it."""
        return super().asked_to_stop if self._shares is None else self._shares.stop

    @torch.no_grad()
    def evaluate(self, split: SplitName, runs: Sequence[int] | None = None) -> dict[str, Tensor]:
        """Loss and metrics [1] of a whole split, in evaluation mode and without graph, by name."""
        was_training = self.model.training
        self.model.eval()
        own = None if self._own is None else OwnEvaluation(self._own, split)
        metrics = self.metrics if own is None else without_loss(self.metrics)
        totals = Totals(metrics)
        samples = self.draws.split(split)
        pieces = self._batches.pieces(samples, self.device, EVALUATION_PIECE)
        for number, piece in enumerate(pieces):
            if metrics:
                totals.add(network_output(self.model, piece.inputs), *piece.judged)
            if own is not None:
                own.add(piece.batch, number)
        values = totals.values()
        if own is not None:
            loss, logged = own.finish()
            values = {"loss": loss, **values}
            self._logged.keep(logged, latest=split == "validation")
        self.model.train(was_training)
        return {name: value.unsqueeze(0) for name, value in values.items()}

    def random_numbers_put_back(self) -> AbstractContextManager[None]:
        """Context after which random numbers drawn within it are drawn again."""
        devices = [self.device] if self.device.type == "cuda" else []
        return torch.random.fork_rng(devices=devices)

    def state_dict_of(self, run: int) -> dict[str, Tensor]:
        """The network's state dict."""
        return self.model.state_dict()

    def engine_state_dict(self, run: int) -> dict[str, Any]:
        """The state dict of the ``optimizer``, torch's ``random`` state on the device, the values
        ``logged`` since the last row, and state dicts of a user's ``schedule``."""
        on_cuda = self.device.type == "cuda"
        random = torch.cuda.get_rng_state(self.device) if on_cuda else torch.get_rng_state()
        optimizer = self.trainer.optimizers[0].state_dict()
        state = {"optimizer": optimizer, "random": random, "logged": self._logged.waiting}
        if self._own is None:
            return state
        schedules = [config.scheduler.state_dict() for config in self.trainer.lr_scheduler_configs]
        return state | {"schedule": schedules}

    def load_engine_state_dict(self, states: Sequence[Mapping[str, Any]], step: int) -> None:
        """Restore what `engine_state_dict` returned. Learning rates are part of the optimizer's
        state; the scheduler's only state is its `step`."""
        self.trainer.optimizers[0].load_state_dict(states[0]["optimizer"])
        self._logged.restore(states[0].get("logged", {}))
        of_schedules = states[0].get("schedule") or [None] * step
        for config, state in zip(self.trainer.lr_scheduler_configs, of_schedules, strict=False):
            if state is not None:
                config.scheduler.load_state_dict(state)
            config.scheduler.last_epoch = step
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(states[0]["random"], self.device)
        else:
            torch.set_rng_state(states[0]["random"])
