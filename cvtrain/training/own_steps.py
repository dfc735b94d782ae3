"""Call the steps of a user's LightningModule: their losses, and the values that they log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torchmetrics import Metric

from cvtrain.config.schema import Config
from cvtrain.data.draws import SplitName
from cvtrain.data.split import Split, network_output
from cvtrain.process.errors import InputError
from cvtrain.training.custom_metrics import check_metrics
from cvtrain.training.lightning_trainer import new_trainer, quiet_lightning
from cvtrain.training.logged_values import LoggedValues
from cvtrain.training.own_module import overrides
from cvtrain.training.task import Task

OF_SPLIT = {"validation": ("val", "valid", "validation"), "test": ("test",), "train": ("train",)}
"""Names of a split in logged values, e.g. ``val_loss`` or ``val/loss``."""


def try_steps(task: Task, module: LightningModule, samples: Split) -> None:
    """Call every step of a module on a few samples, with a backward pass.

    Raises:
        InputError: a step logs under a name of cvtrain, or there are no outputs for `metrics`.
        Exception: a step raised it, or its loss cannot be trained or recorded.
    """
    config, logged = task.config, dict[str, Any]()

    def record(name: str, value: Any, *args: Any, **options: Any) -> None:
        logged[name] = value

    metrics = task.metrics(task.objective)
    taken = {f"{split}/{name}" for split in ("val", "test", "test_best") for name in metrics}
    values = LoggedValues({*taken, "train/objective", "train/lr"})
    batch, before = samples.batch, [x.clone() for x in samples.each_input]
    with quiet_lightning():
        module.trainer = new_trainer(config)
    try:
        loss = training_loss(module, batch, 0, record)
        if not loss.requires_grad:
            raise TypeError("training_step returns a loss without a gradient")
        torch.autograd.backward(loss)
        module.eval()
        with torch.no_grad():
            for split in ("validation", "test"):
                evaluation = OwnEvaluation(module, split)
                evaluation.add(batch, 0)
                logged |= evaluation.finish()[1]
            output = network_output(module, samples.inputs) if task.has_outputs else None
        module.train()
    finally:
        module.trainer = None
    if not all(map(torch.equal, samples.each_input, before)):
        raise ValueError("it changes its input in place, and so the data of what is trained later")
    if all(parameter.grad is None for parameter in module.parameters()):
        raise RuntimeError("no parameter got a gradient")
    for name, value in logged.items():
        values.check(name, value)
    if output is not None:
        check_metrics(config, task.dataset, output, samples.targets)
    elif config.metrics:
        raise InputError(
            f"metrics: should be left out, as calling {type(module).__name__} gives no outputs"
            f" {[task.dataset.out_features, *task.dataset.positions]} of each sample"
        )


@contextmanager
def logging_to(module: LightningModule, log: Callable[..., None]) -> Iterator[None]:
    """Context in which `log` replaces the module's own method, which only the Trainer's module
    has."""
    module.log = log  # type: ignore[method-assign]
    try:
        yield
    finally:
        del module.log


def is_loss(name: str, split: SplitName) -> bool:
    """Whether a value that a step logs under `name` is the loss of a split."""
    prefixes = OF_SPLIT[split]
    return name in {"loss", *(f"{p}{joint}loss" for p in prefixes for joint in "_/")}


def training_loss(
    module: LightningModule, batch: tuple[Any, ...], number: int, log: Callable[..., None]
) -> Tensor:
    """The loss that `training_step` returns for a batch, a real number with its graph.

    Args:
        module: a user's module.
        batch: inputs [N, …] (or a tuple of them), targets [N, …], and weights [N] if any.
        number: index of the batch.
        log: function that replaces the module's `log`; it does not get the loss itself.

    Raises:
        TypeError: the step returns no loss, or a complex one.
        ValueError: the loss is not a single number.
    """

    def logged(name: str, value: Any, *args: Any, **options: Any) -> None:
        if not is_loss(name, "train"):
            log(name, value, *args, **options)

    with logging_to(module, logged):
        returned = _called(module.training_step, batch, number)
    return _one_loss("training_step", returned)


def step_alone(config: Config, module: LightningModule) -> Callable[[nn.Module, Any], Tensor]:
    """A function of `module` (or a copy of it) and a batch that returns the loss [] of its
    `training_step`. Logged values are not recorded.

    Raises:
        InputError: Lightning rejects the arguments of the Trainer, which the module may use.
    """
    with quiet_lightning():
        trainer = new_trainer(config)

    def loss(copied: nn.Module, batch: tuple[Any, ...]) -> Tensor:
        assert isinstance(copied, type(module))
        copied.trainer = trainer
        try:
            return training_loss(copied, batch, 0, lambda *_, **__: None)
        finally:
            copied.trainer = None

    return loss


class OwnEvaluation:
    """The loss of a split and the values logged with it: means over samples, weighted if they have
    weights.

    The module's `validation_step` or `test_step` (without one, `validation_step`) returns the loss
    of a piece or logs it as ``val_loss`` or ``val/loss``. A module without these steps has the loss
    of its `training_step`, of which nothing else is recorded.
    """

    def __init__(self, module: LightningModule, split: SplitName) -> None:
        self._module, self._split = module, split
        own = "test_step" if split == "test" else "validation_step"
        steps = [step for step in (own, "validation_step") if overrides(module, step)]
        self._name = steps[0] if steps else "training_step"
        self._of_split: SplitName = "validation" if self._name == "validation_step" else split
        self._samples = 1.0
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, float] = {}
        self._metrics: dict[str, Metric] = {}
        self._hook("start")

    def add(self, batch: tuple[Any, ...], number: int) -> None:
        """Add piece number `number` of the split: inputs [N, …] (or a tuple of them), targets
        [N, …], and weights [N] if any."""
        self._samples = len(batch[1]) if len(batch) == 2 else float(batch[2].sum())
        with logging_to(self._module, self._log):
            returned = _called(getattr(self._module, self._name), batch, number)
        if returned is not None or self._name == "training_step":
            self._add("loss", _one_loss(self._name, returned))

    def finish(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of all pieces, a real number, and the other values [1] by the names under which
        they were logged; with a prefix if the split is not measured by its own step.

        Raises:
            TypeError: there is no loss.
        """
        self._samples = 1.0
        self._hook("end")
        for name, metric in self._metrics.items():
            self._add(name, metric.compute())
            metric.reset()
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        if "loss" not in means:
            raise TypeError(f"{self._name} should return the loss, or log it as val_loss")
        loss = means.pop("loss")
        logged = means if self._name != "training_step" else {}
        return loss, {self._tag(name): value.reshape(1) for name, value in logged.items()}

    def _tag(self, name: str) -> str:
        """The tag of a value that `validation_step` logs for the test split."""
        if self._of_split == self._split:
            return name
        for prefix in sorted(OF_SPLIT["validation"], key=len, reverse=True):
            if name.startswith((f"{prefix}_", f"{prefix}/")):
                return f"test{name[len(prefix) :]}"
        return f"test_{name}"

    def _hook(self, moment: str) -> None:
        if self._name != "training_step":
            kind = "test" if self._name == "test_step" else "validation"
            with logging_to(self._module, self._log):
                getattr(self._module, f"on_{kind}_epoch_{moment}")()

    def _log(self, name: str, value: Any, *args: Any, **options: Any) -> None:
        if isinstance(value, Metric):
            self._metrics[name] = value
            return
        number = torch.as_tensor(value).detach()
        if number.is_complex():
            raise TypeError(f"self.log: {name} is complex; log its real and imaginary parts")
        self._add("loss" if is_loss(name, self._of_split) else name, number)

    def _add(self, name: str, value: Tensor) -> None:
        """Add a value; a step that logs its loss and also returns it counts twice, with the same
        value."""
        total = value.detach() * self._samples
        self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._counts[name] = self._counts.get(name, 0.0) + self._samples


def _called(step: Callable[..., Any], batch: tuple[Any, ...], number: int) -> Any:
    return step(*(batch, number)[: len(signature(step).parameters) or 1])


def _one_loss(step: str, returned: Any) -> Tensor:
    loss = returned.get("loss") if isinstance(returned, Mapping) else returned
    if not isinstance(loss, Tensor):
        raise TypeError(f"{step} returns {type(loss).__name__}, should return the loss, a tensor")
    if loss.is_complex():
        raise TypeError(f"{step} returns a complex loss; a loss that is minimised is real")
    if loss.numel() != 1:
        raise ValueError(f"{step} returns a loss of shape {list(loss.shape)}, not one number")
    return loss.reshape(())
