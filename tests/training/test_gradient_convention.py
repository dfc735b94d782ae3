"""GradientConvention in plain Lightning trains to the bits of the engine."""

from __future__ import annotations

import warnings

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.precision import MixedPrecision
from torch.nn import functional as F

from cvtrain import GradientConvention, GradientMonitor, configure
from cvtrain.data.batches import BatchOrder
from cvtrain.process.errors import InputError
from cvtrain.training.task import Task
from tests.training.trained_runs import trained

RUN = ("data=digits_fft", "model=mixed_mlp", "model.hidden=[8]", "batch_size=16", "max_steps=12")
WIRTINGER = GradientConvention()
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Plain(LightningModule):
    """The problem of a configuration as anyone would write it: no optimizer or step of cvtrain's.

    Its weights and batches are those of the run.
    """

    def __init__(self, *overrides: str, optimizer=torch.optim.SGD, accumulated=1) -> None:
        super().__init__()
        self.config = configure(*RUN, *overrides)
        task = Task(self.config)
        self.network, self.split = task.model(), task.dataset.train
        self.order = BatchOrder(len(self.split), self.config.batch_size, self.config.seed)
        self.optimizer, self.accumulated = optimizer, accumulated

    def loss_of(self, step):
        samples = self.order.indices(step)
        output = self.network(self.split.inputs[samples])
        scores = output.abs() if output.is_complex() else output
        return F.cross_entropy(scores, self.split.targets[samples])

    def training_step(self, step, batch_idx):
        return self.loss_of(step)

    def train_dataloader(self):
        return range(self.config.max_steps * self.accumulated)

    def configure_optimizers(self):
        return self.optimizer(self.network.parameters(), lr=self.config.optimizer.lr)


def fitted(module, *callbacks, **trainer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps = -1 if not module.automatic_optimization else module.config.max_steps
        Trainer(max_epochs=1, max_steps=steps, callbacks=list(callbacks), **(QUIET | trainer)).fit(
            module
        )
    return module.network.state_dict()


CASES = [
    # scale, conjugate, overrides of the engine's run, arguments of Lightning's Trainer
    (0.5, False, (), {}),
    (0.5, False, ("clip=norm", "clip.threshold=0.25"), {"gradient_clip_val": 0.25}),
    (1.0, True, ("dtype=complex128",), {}),
    (0.3, True, ("clip=norm", "clip.threshold=0.25"), {"gradient_clip_val": 0.25}),
    (0.5, False, ("trainer.accumulate_grad_batches=3",), {"accumulate_grad_batches": 3}),
]


@pytest.mark.parametrize(("scale", "conjugate", "overrides", "trainer"), CASES)
def test_plain_lightning_has_the_bits_of_the_engine(tmp_path, scale, conjugate, overrides, trainer):
    convention = (f"convention.scale={scale}", f"convention.conjugate={conjugate}")
    engine = trained(tmp_path, *RUN, *overrides, *convention).weights
    accumulated = trainer.get("accumulate_grad_batches", 1)
    module = Plain(*overrides, accumulated=accumulated)
    plain = fitted(module, GradientConvention(scale, conjugate), **trainer)
    assert all(torch.equal(plain[name], weight) for name, weight in engine.items())
    without = fitted(Plain(*overrides, accumulated=accumulated), **trainer)
    assert not torch.equal(plain["trunk.0.weight"], without["trunk.0.weight"])


def test_each_evaluation_of_l_bfgs_is_transformed(tmp_path):
    overrides = ("optimizer=lbfgs", "optimizer.lr=0.5", "optimizer.max_iter=3", "batch_size=null")
    engine = trained(tmp_path, *RUN, *overrides, "convention=wirtinger").weights
    options = {**configure(*RUN, *overrides).optimizer.arguments, "lr": 0.5}

    class Searching(Plain):
        def configure_optimizers(self):
            return torch.optim.LBFGS(self.network.parameters(), **options)

    plain = fitted(Searching(*overrides), WIRTINGER)
    assert all(torch.equal(plain[name], weight) for name, weight in engine.items())


class ByHand(Plain):
    """Manual optimization with an optimizer for each kind of parameter, clipped together."""

    def __init__(self, *overrides: str) -> None:
        super().__init__(*overrides)
        self.automatic_optimization = False
        self.convention = GradientConvention()

    def training_step(self, step, batch_idx):
        optimizers = self.optimizers()
        self.manual_backward(self.loss_of(step))
        for optimizer in optimizers:
            self.convention.transform(optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 0.25)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    def configure_optimizers(self):
        kinds = [
            [p for p in self.network.parameters() if p.is_complex() == is_complex]
            for is_complex in (True, False)
        ]
        return [self.optimizer(kind, lr=self.config.optimizer.lr) for kind in kinds]


def test_several_optimizers_by_hand_have_the_bits_of_the_engine(tmp_path):
    clip = ("clip=norm", "clip.threshold=0.25")
    engine = trained(tmp_path, *RUN, *clip, "convention=wirtinger").weights
    plain = fitted(ByHand(*clip))
    assert all(torch.equal(plain[name], weight) for name, weight in engine.items())


def test_the_monitor_beside_it_sees_both_gradients(tmp_path):
    logger, logged = CSVLogger(tmp_path), []
    logger.log_metrics = lambda metrics, step: logged.append(metrics)
    monitor = GradientMonitor(1)
    for callbacks in ([monitor, WIRTINGER], [WIRTINGER, monitor]):
        logged.clear()
        fitted(Plain("model=mlp", "optimizer.lr=0.125"), *callbacks, logger=logger)
        assert len(logged) == 12
        for row in logged:
            assert row["grad/norm"] == 2 * row["optimizer_grad/norm"]
            assert row["update/norm"] == pytest.approx(0.125 * row["optimizer_grad/norm"], rel=1e-4)


def test_a_gradient_of_one_number_and_a_missing_one():
    w, unused = (torch.tensor(1 + 1j, requires_grad=True) for _ in range(2))
    r = torch.tensor(1.0, requires_grad=True)
    torch.autograd.backward((w * r - 3).abs().square())
    real = r.grad.clone()
    GradientConvention(0.5, conjugate=True).transform(torch.optim.SGD([w, unused, r]))
    assert w.grad == -2 - 1j  # g = 2 (w − 3)
    assert unused.grad is None
    assert r.grad == real


REFUSED = [
    (ByHand, {}, "call its transform\\(optimizer\\) there"),
    (Plain, {"precision": "bf16-true"}, "precision=bf16-true would cast complex weights to real"),
    (
        Plain,
        {"plugins": [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))]},
        "GradScaler does not take complex ones",
    ),
]


@pytest.mark.parametrize(("kind", "trainer", "reason"), REFUSED)
def test_what_would_go_wrong_is_refused_before_the_first_step(kind, trainer, reason):
    module = kind()
    before = {name: weight.clone() for name, weight in module.network.state_dict().items()}
    with pytest.raises(ValueError, match=reason):
        fitted(module, WIRTINGER, **trainer)
    assert all(torch.equal(before[n], w) for n, w in module.network.state_dict().items())


def test_accumulation_is_refused_where_the_last_batch_is_evaluated_again():
    with pytest.raises(ValueError, match="accumulate_grad_batches=2 should be 1, as LBFGS"):
        fitted(Plain(optimizer=torch.optim.LBFGS), WIRTINGER, accumulate_grad_batches=2)


def test_a_real_network_is_left_alone_under_mixed_precision():
    precision = {"precision": "bf16-mixed"}
    overrides = ("model=real_mlp",)
    plain = fitted(Plain(*overrides), WIRTINGER, **precision)
    without = fitted(Plain(*overrides), **precision)
    assert all(torch.equal(plain[name], weight) for name, weight in without.items())


@pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf")])
def test_a_scale_that_is_no_scale_is_refused(scale):
    with pytest.raises(ValueError, match="scale="):
        GradientConvention(scale)


class Theirs(GradientConvention):
    """In a package of the user's."""


def test_a_run_of_cvtrain_has_a_key_for_it():
    with pytest.raises(InputError, match=r"should be left out; use convention\.scale"):
        configure(
            f"+trainer.callbacks=[{{_target_: {__name__}.Theirs}}]", "trusted_modules=[tests]"
        )
