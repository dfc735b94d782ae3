"""The monitor's gradient is what autograd left, wherever it is changed before the optimizer."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins import MixedPrecision
from torch import nn

from cvtrain.training.autograd_gradients import AutogradGradients
from cvtrain.training.data_parallel import leave_group
from tests.training.monitored import ByHand, Somebodys, monitored


class ClippingAsDocumented(ByHand):
    """As Lightning's manual has it."""

    def clip(self, optimizer):
        self.clip_gradients(optimizer, gradient_clip_val=1.0, gradient_clip_algorithm="norm")


class ClippingItsOwnBackward(ByHand):
    """Without Lightning's backward, and an optimizer that Lightning has not wrapped."""

    def optimizers(self, use_pl_optimizer=True):
        return super().optimizers(use_pl_optimizer=False)

    def backward_of(self, loss):
        torch.autograd.backward(loss)

    def clip(self, optimizer):
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)


class ClippingAfterBackward(Somebodys):
    """In the module's own hook."""

    def on_after_backward(self):
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)


class ClippingInBackward(Somebodys):
    """At the end of its own backward."""

    def backward(self, loss):
        super().backward(loss)
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)


class ClippingEveryBackward(ByHand):
    """Two backwards for a step, clipped after each; zero_grad keeps the tensors."""

    backwards = 2

    def backward_of(self, loss):
        self.manual_backward(loss / 2)
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        forget = optimizer.zero_grad
        optimizer.zero_grad = lambda set_to_none=False: forget(set_to_none=False)
        return optimizer


class ClippingByReplacing(ByHand):
    """p.grad becomes another tensor."""

    def clip(self, optimizer):
        self.layer.weight.grad = self.layer.weight.grad / self.layer.weight.grad.abs()


CLIPPING = (
    ClippingAsDocumented,
    ClippingItsOwnBackward,
    ClippingAfterBackward,
    ClippingInBackward,
    ClippingEveryBackward,
    ClippingByReplacing,
)


@pytest.mark.parametrize("kind", CLIPPING)
def test_wherever_it_is_clipped_the_gradient_is_autograds(tmp_path, kind):
    rows = [metrics for _, metrics in monitored(tmp_path, kind(lr=1 / 16), every_n_steps=1)]
    assert len(rows) == 4
    weight = torch.ones((), dtype=torch.complex128)
    for row in rows:
        gradient = 4 * weight - (2 - 2j)  # 2 x* (w x - 1)
        assert row["grad/norm"] == pytest.approx(gradient.abs().item(), rel=1e-5)
        assert row["optimizer_grad/norm"] == pytest.approx(1.0, rel=1e-5)
        assert row["update/norm"] == pytest.approx(1 / 16, rel=1e-5)
        weight = weight - gradient / gradient.abs() / 16


@pytest.mark.parametrize("clipped", [Somebodys, ClippingAfterBackward])
def test_accumulated_batches_are_added_up_before_clipping(tmp_path, clipped):
    logged = monitored(tmp_path, clipped(), every_n_steps=1, accumulate_grad_batches=2)
    assert [step for step, _ in logged] == [0, 1]
    assert logged[0][1]["grad/norm"] == pytest.approx(8**0.5, rel=1e-6)


class DroppingTheFirst(ByHand):
    """A backward whose gradient is thrown away before the one that counts."""

    def training_step(self, batch, batch_idx):
        self.manual_backward(5 * Somebodys.training_step(self, batch, batch_idx))
        super().training_step(batch, batch_idx)


class TakingNoneAtAll(ByHand):
    """The gradient is cancelled: the optimizer leaves the weight alone."""

    def clip(self, optimizer):
        self.layer.weight.grad = None


def test_gradients_that_are_dropped_are_not_reported(tmp_path):
    logged = monitored(tmp_path, DroppingTheFirst(), every_n_steps=4)
    assert logged[0][1]["grad/norm"] == pytest.approx(8**0.5)
    assert not monitored(tmp_path, TakingNoneAtAll(), every_n_steps=4)


class SearchingByHand(ByHand):
    """Manual L-BFGS, with the closure given by position."""

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers(use_pl_optimizer=False)

        def closure():
            optimizer.zero_grad()
            loss = Somebodys.training_step(self, batch, batch_idx)
            self.manual_backward(loss)
            nn.utils.clip_grad_norm_(self.parameters(), 1.0)
            return loss

        optimizer.step(closure)

    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=4)


def test_a_closure_by_hand_is_measured_at_its_first_evaluation(tmp_path):
    first = monitored(tmp_path, SearchingByHand(), every_n_steps=4)[0][1]
    assert first["weight/norm"] == 1.0
    assert first["grad/norm"] == pytest.approx(8**0.5)
    assert first["optimizer_grad/norm"] == pytest.approx(1.0, rel=1e-5)


class Real(LightningModule):
    """A real weight; its gradient is 2."""

    def __init__(self, fused: bool = False) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.layer.weight)
        self.fused = fused

    def training_step(self, batch, batch_idx):
        return self.layer(torch.ones(1, 1)).float().square().sum()

    def train_dataloader(self):
        return range(2)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.5, fused=self.fused)


@pytest.mark.parametrize("fused", [False, True])
def test_the_scale_of_mixed_precision_is_divided_out(tmp_path, fused):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    first = monitored(tmp_path, Real(fused), every_n_steps=2, plugins=[plugin])[0][1]
    assert first["grad/norm"] == first["optimizer_grad/norm"] == 2.0
    assert first["update/norm"] == pytest.approx(0.5)


def test_what_several_processes_average_is_autograds_gradient(tmp_path):
    """A backward ends once DistributedDataParallel has put the averages into p.grad."""
    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        layers = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        parallel = nn.parallel.DistributedDataParallel(layers)

        def tripled(state, bucket):
            future = torch.futures.Future()
            future.set_result(3 * bucket.buffer())
            return future

        parallel.register_comm_hook(None, tripled)
        recorded = AutogradGradients(dict(layers.named_parameters()))
        torch.autograd.backward(parallel(torch.ones(1, 2)).sum())
        for name, p in layers.named_parameters():
            assert torch.equal(recorded.of(name), p.grad)
        assert layers[1].bias.grad.item() == 3.0
        recorded.remove()
    finally:
        leave_group()


def test_a_backward_that_fails_spoils_no_later_one():
    weight = nn.Parameter(torch.ones(2))
    recorded = AutogradGradients({"w": weight})

    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            raise MemoryError

    other = nn.Parameter(torch.ones(2))
    second = AutogradGradients({"v": other})
    with pytest.raises(MemoryError):
        torch.autograd.backward((Failing.apply(other * 1) + weight).sum())
    torch.autograd.backward((3 * weight + 2 * other).sum())
    assert recorded.of("w").tolist() == weight.grad.tolist()
    assert second.of("v").tolist() == [2.0, 2.0]
