"""GradientMonitor in a LightningModule that knows nothing of cvtrain."""

from __future__ import annotations

import warnings

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn

import cvtrain.optim
from cvtrain import GradientMonitor
from tests.training.monitored import ByHand, Somebodys, monitored


def test_the_gradient_is_autograds_and_the_optimizers_one_is_clipped(tmp_path):
    logged = monitored(tmp_path, gradient_clip_val=1.0)
    assert [step for step, _ in logged] == [0, 2]
    first = logged[0][1]
    assert first["grad/layer.weight/real[0,0]"] == 2.0
    assert first["grad/layer.weight/imag[0,0]"] == 2.0
    assert first["grad/norm"] == pytest.approx(8**0.5)
    assert first["optimizer_grad/norm"] == pytest.approx(1.0, rel=1e-5)
    assert first["update/norm"] == pytest.approx(0.25, rel=1e-5)


def test_without_clipping_gradient_and_transformed_gradient_agree(tmp_path):
    for _, metrics in monitored(tmp_path):
        assert metrics["optimizer_grad/norm"] == metrics["grad/norm"]
        assert metrics["update/norm"] == pytest.approx(0.25 * metrics["grad/norm"])


class Searching(Somebodys):
    """L-BFGS, which evaluates several times within a step."""

    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=4, history_size=4)


def test_of_many_evaluations_in_a_step_the_first_is_logged_and_the_update_is_all_of_it(tmp_path):
    weight = torch.ones(1, 1, dtype=torch.complex128, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], lr=0.1, max_iter=4, history_size=4)
    evaluated = []

    def closure():
        optimizer.zero_grad()
        objective = (weight * (1 + 1j) - 1).abs().square().sum()
        torch.autograd.backward(objective)
        evaluated.append(weight.grad.abs().item())
        return objective

    rows = [metrics for _, metrics in monitored(tmp_path, Searching(), every_n_steps=1)]
    assert len(rows) == 4
    for row in rows:
        before = weight.detach().clone()
        evaluated.clear()
        optimizer.step(closure)
        assert len(evaluated) > 1
        assert row["weight/norm"] == pytest.approx(before.abs().item(), rel=1e-12)
        assert row["grad/norm"] == pytest.approx(evaluated[0], rel=1e-12)
        assert row["optimizer_grad/norm"] == row["grad/norm"]
        assert row["update/norm"] == pytest.approx((weight - before).abs().item(), rel=1e-9)


class SteppingThrice(ByHand):
    """As a critic is trained."""

    steps = 3


def test_of_several_steps_in_a_batch_the_first_is_logged(tmp_path):
    logged = monitored(tmp_path, SteppingThrice(), every_n_steps=1)
    assert [step for step, _ in logged] == [0, 1, 2, 3]
    first = logged[0][1]
    assert first["grad/norm"] == pytest.approx(8**0.5)
    assert first["update/norm"] == pytest.approx(0.25 * 8**0.5)


def test_a_monitor_leaves_no_hook_behind_even_where_training_fails(tmp_path):
    class Failing(Somebodys):
        def training_step(self, batch, batch_idx):
            if batch_idx == 2:
                raise RuntimeError("on purpose")
            return super().training_step(batch, batch_idx)

        def configure_optimizers(self):
            self.built = super().configure_optimizers()
            return self.built

    module = Failing()
    with pytest.raises(RuntimeError, match="on purpose"):
        monitored(tmp_path, module, every_n_steps=2)
    for hooks in (
        module.built._optimizer_step_pre_hooks,
        module.built._optimizer_step_post_hooks,
        module.layer.weight._backward_hooks,
        module.layer.weight._post_accumulate_grad_hooks,
    ):
        assert not hooks


def fitted(tmp_path, monitor, module):
    """The rows of a training in which another callback fails before the monitor learns of it."""

    class Rethrowing(Callback):
        def on_exception(self, trainer, module, exception):
            raise ValueError("on the way out") from exception

    logger = CSVLogger(tmp_path)
    logged = []
    logger.log_metrics = lambda metrics, step: logged.append((step, metrics))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Trainer(
            max_epochs=1,
            logger=logger,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
            callbacks=[Rethrowing(), monitor],
        ).fit(module)
    return logged


def test_a_monitor_used_again_after_a_failure_knows_nothing_of_it(tmp_path):
    class FailsAtThree(Somebodys):
        """After the gradient of a logged step, before its row."""

        def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
            self.built = optimizer.optimizer
            if batch_idx == 2:
                raise RuntimeError("on purpose")

    monitor, failing = GradientMonitor(2), FailsAtThree(lr=0.125)
    with pytest.raises(ValueError, match="on the way out"):
        fitted(tmp_path, monitor, failing)
    again = Somebodys()
    rows = fitted(tmp_path, monitor, again)
    assert rows == monitored(tmp_path)
    assert not failing.built._optimizer_step_pre_hooks
    assert not failing.layer.weight._backward_hooks


def test_a_batch_that_lightning_skips_has_no_row(tmp_path):
    class Skipping(Somebodys):
        def training_step(self, batch, batch_idx):
            return None if batch_idx in (0, 2) else super().training_step(batch, batch_idx)

    logged = monitored(tmp_path, Skipping(), every_n_steps=1)
    assert [step for step, _ in logged] == [1, 3]
    assert [metrics for _, metrics in logged] == [
        metrics for step, metrics in monitored(tmp_path, every_n_steps=1) if step < 2
    ]


def test_a_monitor_without_a_logger_says_so_once(tmp_path):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        callbacks=[GradientMonitor(1)],
        **quiet,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(Somebodys())
    messages = [str(warning.message) for warning in caught]
    ours = [message for message in messages if "GradientMonitor" in message]
    assert ours == ["GradientMonitor logs nothing: the Trainer has no logger (logger=False)"]


class Alternating(LightningModule):
    """Two optimizers that step in every batch, by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.first = nn.Linear(1, 1, bias=False, dtype=torch.complex128)
        self.second = nn.Linear(1, 1, bias=False, dtype=torch.complex128)
        nn.init.ones_(self.first.weight)
        nn.init.ones_(self.second.weight)

    def training_step(self, batch, batch_idx):
        x = torch.tensor([[1 + 1j]], dtype=torch.complex128)
        for layer, optimizer in zip((self.first, self.second), self.optimizers(), strict=True):
            optimizer.zero_grad()
            error = layer(x) - 1
            self.manual_backward((error * error.conj()).real.mean())
            optimizer.step()

    def train_dataloader(self):
        return range(6)

    def configure_optimizers(self):
        layers = (self.first, 0.25), (self.second, 0.125)
        return [torch.optim.SGD(layer.parameters(), lr=lr) for layer, lr in layers]


@pytest.mark.parametrize(("every", "steps"), [(1, [0, 1, 2, 3, 4, 5]), (2, [0, 2, 4]), (4, [0, 4])])
def test_a_row_has_what_each_of_two_optimizers_did(tmp_path, every, steps):
    logged = monitored(tmp_path, Alternating(), every_n_steps=every)
    assert [step for step, _ in logged] == steps
    first = logged[0][1]
    assert first["grad/norm"] == pytest.approx(4.0)  # √(8 + 8)
    assert first["optimizer_grad/norm"] == pytest.approx(4.0)
    assert first["update/norm"] == pytest.approx((8 * (0.25**2 + 0.125**2)) ** 0.5)


class EverySecondBatch(ByHand):
    """Accumulates two batches by hand."""

    def training_step(self, batch, batch_idx):
        self.manual_backward(Somebodys.training_step(self, batch, batch_idx))
        if batch_idx % 2:
            self.optimizers().step()
            self.optimizers().zero_grad()


def logging_too(kind):
    class Logging(kind):
        def training_step(self, batch, batch_idx):
            self.log("theirs", float(batch_idx))
            return super().training_step(batch, batch_idx)

    return Logging()


@pytest.mark.parametrize(
    ("kind", "trainer", "steps"),
    [
        (Somebodys, {}, [0, 1, 2, 3]),
        (Somebodys, {"accumulate_grad_batches": 2}, [0, 1]),
        (Alternating, {}, [0, 1, 2, 3, 4, 5]),
        (SteppingThrice, {}, [0, 1, 2, 3]),
        (EverySecondBatch, {}, [1, 3]),
    ],
)
def test_rows_stand_where_lightning_logs(tmp_path, kind, trainer, steps):
    module = logging_too(kind)
    logged = monitored(tmp_path, module, every_n_steps=1, log_every_n_steps=1, **trainer)
    lightnings = [step for step, metrics in logged if "theirs" in metrics]
    assert [step for step, metrics in logged if "grad/norm" in metrics] == steps
    assert set(steps) <= set(lightnings)


@pytest.mark.parametrize(("at", "rest"), [(9, [12]), (10, [12]), (12, [12]), (11, [12])])
def test_a_resumed_training_keeps_the_cadence(tmp_path, at, rest):
    """Counted from the first step of all, wherever the checkpoint stands."""

    class Longer(Somebodys):
        def train_dataloader(self):
            return range(14)

    saving = ModelCheckpoint(tmp_path, every_n_train_steps=at, save_top_k=-1, filename="{step}")
    logger = CSVLogger(tmp_path)
    steps = []
    logger.log_metrics = lambda metrics, step: steps.append(step)
    settings = {
        "logger": logger,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
        "max_epochs": 1,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Trainer(callbacks=[GradientMonitor(4), saving], **settings).fit(Longer())
        assert steps == [0, 4, 8, 12]
        steps.clear()
        Trainer(callbacks=[GradientMonitor(4)], **settings).fit(
            Longer(), ckpt_path=tmp_path / f"step={at}.ckpt", weights_only=False
        )
    assert steps == rest


class LookingUp(Somebodys):
    """Rows of a table, whose gradient is sparse where `sparse`."""

    def __init__(self, sparse, optimizer):
        super().__init__()
        self.layer = nn.Embedding(3, 2, sparse=sparse, dtype=torch.float64)
        nn.init.ones_(self.layer.weight)
        self.optimizer = optimizer

    def training_step(self, batch, batch_idx):
        return self.layer(torch.tensor([0, 2, 2])).square().sum()

    def configure_optimizers(self):
        return self.optimizer(self.parameters(), lr=0.25)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, cvtrain.optim.SGD])
def test_a_sparse_gradient_is_measured_as_the_dense_one(tmp_path, optimizer):
    dense, sparse = (
        monitored(tmp_path, LookingUp(sparse, optimizer), every_n_steps=1)
        for sparse in (False, True)
    )
    assert sparse == dense
    # Two entries of 2, and of the row that is looked up twice two of 4.
    assert sparse[0][1]["grad/norm"] == pytest.approx(40**0.5)


def test_a_cadence_of_zero_is_refused():
    with pytest.raises(ValueError, match="every_n_steps=0"):
        GradientMonitor(every_n_steps=0)
