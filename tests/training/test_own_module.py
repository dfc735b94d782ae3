"""LightningModules of a user's own, of a package outside of the repository."""

from __future__ import annotations

import re
import sys

import pytest
import torch

from cvtrain.api import configure
from cvtrain.cli.evaluate import evaluate
from cvtrain.cli.train import main
from cvtrain.config.point import Point
from cvtrain.process.errors import InputError
from cvtrain.runs.run_json import read_record
from cvtrain.training.preflight import preflight
from cvtrain.training.stacking import refusal
from tests.training.trained_runs import configured, trained

PACKAGE = """
import torch
from lightning.pytorch import LightningModule
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy
from cvtrain.models import MixedMlp


class Plain(LightningModule):
    def __init__(self, in_features, out_features, dtype, hidden: int = 4):
        super().__init__()
        self.network = MixedMlp(in_features, out_features, hidden=(hidden,), dtype=dtype)

    def forward(self, x):
        return self.network(x)

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self(x), y)

    def training_step(self, batch, batch_idx):
        return self.loss(batch)


class Adapted(Plain):
    def __init__(self, in_features, out_features, dtype, lr, max_steps: int = 0):
        super().__init__(in_features, out_features, dtype)
        self.lr, self.steps = lr, max_steps
        self.hits = MulticlassAccuracy(out_features, average="micro")

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss)
        self.log("number", float(batch_idx))
        return {"loss": loss}

    def validation_step(self, batch, batch_idx):
        x, y = batch
        output = self(x)
        self.log_dict({"val_loss": F.cross_entropy(output, y), "val/top": output.max()})
        self.hits.update(output, y)
        self.log("val_hits", self.hits)

    def on_validation_epoch_end(self):
        self.log("val_weight", self.network.head.weight.norm())

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Stepless(Adapted):
    def forward(self, x):
        return (super().forward(x),)

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self(x)[0], y)

    def validation_step(self, batch, batch_idx):
        return self.loss(batch)

    def test_step(self, batch):
        return {"loss": 2 * self.loss(batch)}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr)


class ByHand(Plain):
    automatic_optimization = False


class Silent(Plain):
    def training_step(self, batch):
        self.loss(batch)


class Complex(Plain):
    def training_step(self, batch):
        return self.loss(batch) * 1j


class Several(Plain):
    def training_step(self, batch):
        return self.loss(batch).expand(3)


class Hooked(Plain):
    def on_train_epoch_end(self):
        pass


class Clipping(Plain):
    def configure_gradient_clipping(self, *args, **options):
        pass


class Needy(Plain):
    def __init__(self, in_features, out_features, dtype, depth):
        super().__init__(in_features, out_features, dtype)


class Rateless(Plain):
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Deaf(Stepless):
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Two(Stepless):
    def configure_optimizers(self):
        return [torch.optim.SGD(self.parameters(), self.lr) for _ in range(2)]


class Epochs(Stepless):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), self.lr)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 3)]


class Momentum(Stepless):
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr, momentum=0.9)


class Lossless(Stepless):
    def validation_step(self, batch):
        self.log("val_accuracy", 0.5)


class Clashing(Adapted):
    def validation_step(self, batch):
        self.log("val/accuracy", 0.5)
        return self.loss(batch)


class Quadrature(Adapted):
    def validation_step(self, batch):
        self.log("val_phase", 0.5j)
        return self.loss(batch)


class NoModule(torch.nn.Linear):
    pass
"""
SMALL = ("max_steps=12", "batch_size=16", "signals.validation_every=5", "signals.scalars_every=3")
HALF = ("convention=wirtinger", "objective.scale=0.5", "clip=norm", "clip.threshold=0.25")


@pytest.fixture(autouse=True)
def package(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("package")
    (folder / "litlab.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop("litlab", None)


def own(name, *overrides):
    module = ("module=custom", f"module._target_=litlab.{name}", "trusted_modules=[litlab]")
    return (*SMALL, *module, *overrides)


def checked(*overrides):
    preflight([Point(0, configured(*overrides), overrides, "run")])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_module_that_does_what_the_engine_does_has_its_bits(tmp_path, optimizer):
    common = (*HALF, f"optimizer={optimizer}", "scheduler=cosine", "seed=3")
    ours = trained(tmp_path, *SMALL, "model.hidden=[4]", *common)
    theirs = trained(tmp_path, *own("Plain", "+module.hidden=4"), *common)
    assert ours.rows.loc[0, "grad/norm"] > 0
    for tag, column in ours.rows.items():
        theirs_tag = tag.replace("trunk.", "network.trunk.").replace("head.", "network.head.")
        assert column.equals(theirs.rows[theirs_tag]), tag
    assert len(ours.rows.columns) == len(theirs.rows.columns)
    for name, weight in ours.weights.items():
        assert torch.equal(theirs.weights[f"network.{name}"], weight)
    assert refusal(configured(*own("Plain"))) == "Plain has a training_step of its own"


def test_steps_and_optimizer_of_a_module_are_used_and_what_they_log_is_recorded(tmp_path):
    run = trained(tmp_path, *own("Adapted", "optimizer=adam", "optimizer.lr=0.01"))
    rows = run.rows
    assert list(rows["number"].dropna()) == [0, 3, 5, 6, 9, 10, 11]
    validated = rows["val/accuracy"].dropna()
    assert list(validated.index) == [0, 5, 10, 12]
    assert (validated - rows["val_hits"].dropna()).abs().max() < 1e-6
    assert set(rows) >= {"val/loss", "test/loss", "val/top", "test/top", "val_weight"}
    assert not set(rows) & {"train_loss", "val_loss", "test_loss"}
    rates = rows["train/lr"].dropna()
    assert rates[0] == pytest.approx(0.01 / 25)
    assert rates[3] == pytest.approx(0.01, rel=0.05)  # the top of the cycle
    measured = evaluate(run.directory, "test", "last", ("litlab",)).values
    assert measured["loss"] == pytest.approx(rows["test/loss"].dropna().item())


def test_a_module_without_outputs_is_measured_by_its_steps_alone(tmp_path):
    rows = trained(tmp_path, *own("Stepless")).rows
    assert [tag for tag in rows if tag.startswith("val/")] == ["val/loss"]
    assert list(rows["val/loss"].dropna().index) == [0, 5, 10, 12]
    ratio = rows["test/loss"].dropna().item() / rows["val/loss"].dropna().iloc[-1]
    assert 1.8 < ratio < 2.2


def test_a_resumed_module_has_the_same_bits(tmp_path):
    line = own("Adapted", "optimizer=adam", "optimizer.lr=0.01")
    (tmp_path / "whole").mkdir()
    whole = trained(tmp_path / "whole", *line)
    paused = tmp_path / "paused"
    assert main([*line, "pause_at=7", f"hydra.run.dir={paused}"]) == 0
    assert main([f"resume={paused}", "trusted_modules=[litlab]"]) == 0
    assert read_record(paused / "run.json")["status"] == "finished"
    ours = (whole.directory / "metrics.csv").read_text()
    assert (paused / "metrics.csv").read_text() == ours


REFUSED = [
    (("ByHand",), "should have automatic_optimization: in manual optimization"),
    (("Silent",), "training_step returns NoneType, should return the loss, a tensor"),
    (("Complex",), "training_step returns a complex loss; a loss that is minimised is real"),
    (("Several",), r"training_step returns a loss of shape \[3\], not one number"),
    (("Hooked",), "should have no on_train_epoch_end, which is not called; a callback"),
    (("Clipping",), "should have no configure_gradient_clipping, .*clip=norm"),
    (("Needy",), "^module: Needy needs depth$"),
    (("Rateless",), "should have an argument lr, which optimizer.lr fills in"),
    (("Deaf",), r"optimizer.lr=0.0[0-9]*: should be the rate .*, which is 0.1: it is filled in"),
    (("Two",), "should return one optimizer with at most one schedule"),
    (("Epochs",), "the schedule should have 'interval': 'step'"),
    (("Momentum",), "optimizer.momentum=0.0: should be 0.9, which configure_optimizers of Mom"),
    (("Adapted",), "optimizer._target_=torch.optim.SGD: should be .*Adam.*optimizer=adam"),
    (("Adapted", "optimizer=adam", "scheduler=cosine"), "scheduler=cosine: should be constant"),
    (("Stepless", "+module.lr=0.3"), "module.lr=0.3: should be left out; optimizer.lr is filled"),
    (("Plain", "+module.width=3"), "module.width=3: Plain takes no such argument; it takes hidd"),
    (("Lossless",), "validation_step should return the loss, or log it as val_loss"),
    (("Clashing", "optimizer=adam"), "self.log: 'val/accuracy': should be another name"),
    (("Quadrature", "optimizer=adam"), "self.log: val_phase is complex"),
    (("Stepless", "metrics=[MulticlassF1Score]"), "metrics: should be left out, as calling Step"),
    (("NoModule",), "should be a LightningModule with a training_step"),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_cannot_be_trained_is_refused_in_a_line_before_training(overrides, message):
    with pytest.raises(InputError, match=message) as refused:
        checked(*own(*overrides))
    assert "\n" not in str(refused.value)


def test_a_loss_of_a_module_wants_a_module():
    with pytest.raises(InputError, match=r"objective.loss=module: should come with module=custom"):
        checked(*SMALL, "objective.loss=module")


@pytest.mark.parametrize("word", ["model=mlp", "model.hidden=[4]", "objective=complex_huber"])
def test_a_network_or_loss_beside_a_module_is_refused_and_not_ignored(word):
    with pytest.raises(InputError, match=f"^{re.escape(word)}: should be left out") as refused:
        configure(*own("Plain"), word)
    assert "\n" not in str(refused.value)


def test_the_scale_and_the_network_and_loss_of_an_experiment_go_with_a_module():
    config = configure(
        *own("Plain", "objective.scale=0.5", "+experiment=weight_decay", "optimizer=sgd")
    )
    assert (config.objective.loss, config.objective.scale) == ("module", 0.5)
