"""K networks of a user's own in one Trainer are K networks in K Trainers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from cvtrain import GradientMonitor, StackedModule
from cvtrain.gradients.clipping import NormClip
from cvtrain.gradients.convention import CONVENTIONS, Convention
from cvtrain.models import MixedMlp
from cvtrain.optim import SGD, Adam

RATES = torch.tensor([0.001, 0.01, 0.03], dtype=torch.float64)
COMPLEX = torch.complex128
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice about workers


class Own(LightningModule):
    """A user's module, with a step of its own for when it is trained alone."""

    def __init__(self, seed: int, rate: float = 0.0, convention: Convention | None = None) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.net = MixedMlp(6, 3, hidden=(5,), dtype=COMPLEX)
        self.rate, self.convention = rate, convention

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def on_before_optimizer_step(self, optimizer):
        if self.convention is not None:
            for p in self.parameters():
                p.grad = self.convention.apply(p.grad)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.rate)


def loader() -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(48, 6, dtype=COMPLEX, generator=generator)
    return DataLoader(TensorDataset(inputs, torch.arange(48) % 3), batch_size=16)


def fit(module: LightningModule, tmp_path, **more) -> Trainer:
    trainer = Trainer(
        max_epochs=4,
        accelerator="cpu",
        default_root_dir=tmp_path,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **{"logger": False, **more},
    )
    trainer.fit(module, loader())
    return trainer


@pytest.mark.parametrize("name", ["pytorch", "wirtinger"])
def test_each_network_ends_where_it_would_have_ended_alone(tmp_path, name):
    networks = [Own(seed) for seed in range(3)]
    stack = StackedModule(
        networks,
        nn.functional.cross_entropy,
        partial(Adam, lr=RATES),
        convention=CONVENTIONS[name],
    )
    fit(stack, tmp_path)
    for k, rate in enumerate(RATES.tolist()):
        alone = Own(k, rate, CONVENTIONS[name])
        assert torch.equal(alone.net.head.weight, Own(k).net.head.weight)
        fit(alone, tmp_path)
        for key, value in stack.state_dict_of(k).items():
            torch.testing.assert_close(value, alone.state_dict()[key], rtol=1e-10, atol=1e-12)


def test_numbers_per_network_cover_scale_convention_and_clip(tmp_path):
    def trained(**numbers) -> StackedModule:
        networks = [Own(0), Own(0)]
        stack = StackedModule(
            networks, nn.functional.cross_entropy, partial(Adam, lr=0.01, eps=0.0), **numbers
        )
        fit(stack, tmp_path)
        return stack

    # Adam without eps does not see a factor 2, so both members end with the same bits.
    for numbers in (
        {"scale": torch.tensor([1.0, 0.5])},
        {"convention": Convention(torch.tensor([1.0, 0.5]))},
        {"scale": torch.tensor([1, 0.5]), "clip": NormClip(torch.tensor([0.1, 0.05]), eps=0.0)},
    ):
        first, second = (trained(**numbers).state_dict_of(k) for k in (0, 1))
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_losses_and_signals_reach_the_loggers(tmp_path):
    stack = StackedModule([Own(0), Own(1)], nn.functional.cross_entropy, partial(Adam, lr=0.01))
    logger = CSVLogger(tmp_path)
    fit(stack, tmp_path, logger=logger, log_every_n_steps=1, callbacks=[GradientMonitor(1)])
    logged = pd.read_csv(Path(logger.log_dir) / "metrics.csv")
    for tag in ("train/loss_0", "train/loss_1"):
        assert logged[tag].notna().any()


class Rows(CSVLogger):
    """Keeps rows in memory."""

    def __init__(self, directory) -> None:
        super().__init__(directory)
        self.rows: list[dict[str, float]] = []

    def log_metrics(self, metrics, step):
        if "epoch" not in metrics:
            self.rows.append(metrics)


def test_a_monitor_of_a_stack_has_the_signals_of_each_network(tmp_path):
    def monitored(module) -> list[dict[str, float]]:
        logger = Rows(tmp_path)
        fit(module, tmp_path, logger=logger, callbacks=[GradientMonitor(3, per_parameter=True)])
        return logger.rows

    networks = [Own(seed) for seed in range(3)]
    for network in networks:
        network.net.head.requires_grad_(False)
    stack = StackedModule(networks, nn.functional.cross_entropy, partial(Adam, lr=RATES))
    together = monitored(stack)
    assert len(together) == 4
    for k, rate in enumerate(RATES.tolist()):
        alone = Own(k, rate)
        alone.net.head.requires_grad_(False)
        for row, single in zip(together, monitored(alone), strict=True):
            mine = {tag[: -len("_0")]: row[tag] for tag in row if tag.endswith(f"_{k}")}
            assert mine == pytest.approx(single, rel=1e-9, abs=1e-12)


def test_what_cannot_be_stacked_is_told():
    with pytest.raises(ValueError, match="at least one"):
        StackedModule([], nn.functional.cross_entropy, Adam)
    stack = StackedModule([nn.Linear(2, 1, dtype=COMPLEX)], lambda y, t: (y - t).mean(), Adam)
    ones = torch.ones(4, 2, dtype=COMPLEX)
    with pytest.raises(TypeError, match="the loss is complex"):
        stack.losses((ones, ones[:, :1]))


class Running(Own):
    """Keeps a running mean as many public networks do, and its last one where that is asked for."""

    def __init__(self, seed: int, rate: float = 0.0, *, counts: bool = False) -> None:
        super().__init__(seed, rate)
        self.register_buffer("running_mean", torch.zeros(6, dtype=COMPLEX))
        self.counts, self.counter = counts, 0

    def forward(self, x):
        mean = self.running_mean
        if self.training:
            mean = x.mean(0)
            self.running_mean = 0.1 * mean + 0.9 * self.running_mean
        self.counter += self.counts
        return self.net(x - mean)


def test_buffers_that_a_forward_replaces_are_each_networks_own(tmp_path):
    networks = [Running(seed) for seed in range(3)]
    networks[2].running_mean += 1
    stack = StackedModule(networks, nn.functional.cross_entropy, partial(Adam, lr=RATES))
    fit(stack, tmp_path)
    means = []
    for k, rate in enumerate(RATES.tolist()):
        alone = Running(k, rate)
        alone.running_mean += k == 2
        fit(alone, tmp_path)
        for key, value in stack.state_dict_of(k).items():
            torch.testing.assert_close(value, alone.state_dict()[key], rtol=1e-10, atol=1e-12)
        means.append(alone.running_mean)
    assert torch.equal(means[0], means[1])
    assert not torch.equal(means[0], means[2])


def test_what_a_forward_keeps_elsewhere_is_refused_by_its_name(tmp_path):
    networks = [Running(seed, counts=True) for seed in range(2)]
    stack = StackedModule(networks, nn.functional.cross_entropy, partial(Adam, lr=0.01))
    with pytest.raises(RuntimeError, match=r"its forward changes Running\.counter: should change"):
        fit(stack, tmp_path)


class Activated(nn.Module):
    def __init__(self, function, *layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, nn.Sequential(*layers)

    def forward(self, x):
        return self.function(self.layers(x))


def linear(*, bias: bool = True, dtype: torch.dtype = COMPLEX, trained: bool = True) -> nn.Linear:
    return nn.Linear(6, 3, bias=bias, dtype=dtype).requires_grad_(trained)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (nn.Sequential(linear(), nn.Tanh()), nn.Sequential(linear(), nn.Sigmoid()), "1 Tanh, 1 Si"),
        (nn.Sequential(linear()), nn.Sequential(linear(), nn.Tanh()), r"layers \(none, 1 Tanh\)"),
        (linear(), linear(bias=False), r"parameters \(bias \[3\] complex128, none\)"),
        (linear(bias=False), linear(), r"parameters \(none, bias \[3\] complex128\)"),
        (linear(), linear(trained=False), r"complex128, weight \[3, 6\] complex128 frozen"),
        (linear(dtype=torch.float64), linear(), r"float64, weight \[3, 6\] complex128"),
        (
            Activated(torch.tanh, linear()),
            Activated(torch.sigmoid, linear()),
            "function, which their forward reads",
        ),
        (Activated(lambda x: x, linear()), Activated(lambda x: 2 * x, linear()), "function, wh"),
    ],
)
def test_networks_that_differ_in_more_than_values_are_told_where(first, second, message):
    with pytest.raises(ValueError, match=f"the networks differ in .*{message}"):
        StackedModule([first, second], nn.functional.cross_entropy, Adam)


class WithRate(Own):
    """Reads its learning rate in its forward if that is asked for."""

    def __init__(self, seed: int, rate: float, *, reads: bool = False) -> None:
        super().__init__(seed, rate)
        self.save_hyperparameters()
        self.reads = reads

    def forward(self, x):
        return self.scaled(super().forward(x))

    def scaled(self, y):
        return self.hparams.rate * y if self.reads else y


def test_an_attribute_that_the_forward_does_not_read_may_differ(tmp_path):
    networks = [WithRate(k, rate) for k, rate in enumerate(RATES.tolist())]
    stack = StackedModule(networks, nn.functional.cross_entropy, partial(Adam, lr=RATES))
    fit(stack, tmp_path)
    alone = WithRate(2, RATES[2].item())
    fit(alone, tmp_path)
    for key, value in stack.state_dict_of(2).items():
        torch.testing.assert_close(value, alone.state_dict()[key], rtol=1e-10, atol=1e-12)


def test_an_attribute_that_differs_is_refused_where_a_forward_reads_it(tmp_path):
    networks = [WithRate(0, rate, reads=True) for rate in (0.1, 0.2)]
    stack = StackedModule(networks, nn.functional.cross_entropy, partial(Adam, lr=RATES[:2]))
    message = "the networks differ in _hparams, which their forward reads"
    with pytest.raises(ValueError, match=message):
        fit(stack, tmp_path)


class Holding(nn.Module):
    """Has a weight in a second place that no copy of the network reaches."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.linear, self.place = linear(), place
        if place == "weights":
            self.weights = [self.linear.weight]
        elif place == "function":
            self.function = lambda x: self.linear(x)
        else:
            self.linear.register_forward_hook(lambda layer, x, y: y + self.linear.bias)

    def forward(self, x):
        if self.place == "weights":
            return x @ self.weights[0].T
        return self.function(x) if self.place == "function" else self.linear(x)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("weights", "holds linear.weight in weights, which their forward reads"),
        ("function", "holds Holding in function, which their forward reads"),
        ("hook", "a hook of linear holds Holding in its closure"),
    ],
)
def test_tensors_that_a_stack_cannot_replace_are_told(place, message):
    with pytest.raises(ValueError, match=message):
        StackedModule([Holding(place)] * 2, nn.functional.cross_entropy, Adam)


def test_functions_of_one_definition_are_alike():
    def scaled(factor):
        return Activated(lambda x: factor * x, linear())

    def by_default(factor):
        return Activated(lambda x, factor=factor: factor * x, linear())

    def partly(factor):
        return Activated(partial(torch.mul, factor), linear())

    for made in (scaled, by_default, partly):
        StackedModule([made(2), made(2)], nn.functional.cross_entropy, Adam)
        with pytest.raises(ValueError, match="the networks differ in function"):
            StackedModule([made(2), made(3)], nn.functional.cross_entropy, Adam)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (
            {"scale": torch.ones(3)},
            r"scale: should be a number or 2, one for each network, not of shape \[3\]",
        ),
        ({"seeds": [1]}, "seeds: should be 2, one for each network, not 1"),
        (
            {"convention": Convention(torch.ones(4))},
            r"convention.scale: should be .* not of shape \[4\]",
        ),
        ({"clip": NormClip(torch.ones(5))}, r"clip.threshold: should be .* not of shape \[5\]"),
    ],
)
def test_a_wrong_number_of_numbers_is_told(numbers, message):
    with pytest.raises(ValueError, match=message):
        StackedModule([Own(0), Own(1)], nn.functional.cross_entropy, Adam, **numbers)


def test_what_would_mix_the_networks_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"optimizer=Adam: should be one of cvtrain\.optim"):
        StackedModule([Own(0)], nn.functional.cross_entropy, partial(torch.optim.Adam, lr=0.1))
    stack = StackedModule([Own(0), Own(1)], nn.functional.cross_entropy, Adam)
    with pytest.raises(ValueError, match="as the Trainer would clip all networks by one norm"):
        fit(stack, tmp_path, gradient_clip_val=0.1)


def test_the_scale_of_a_network_reaches_its_gradient(tmp_path):
    scales = torch.tensor([1.0, 0.25], dtype=torch.float64)
    stack = StackedModule(
        [Own(0), Own(0)],
        nn.functional.cross_entropy,
        partial(SGD, lr=0.125 / scales),
        scale=scales,
    )
    fit(stack, tmp_path)
    first, second = (stack.state_dict_of(k) for k in (0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    alone = StackedModule(
        [Own(0), Own(0)], nn.functional.cross_entropy, partial(SGD, lr=0.125), scale=scales
    )
    fit(alone, tmp_path)
    assert not torch.equal(alone.state_dict_of(1)["net.head.weight"], first["net.head.weight"])
