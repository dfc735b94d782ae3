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
from torch.utils.data import DataLoader

from cvtrain import GradientMonitor, StackedModule
from cvtrain.gradients.clipping import NormClip
from cvtrain.gradients.convention import CONVENTIONS, Convention
from cvtrain.optim import SGD, Adam
from tests.training.own_networks import COMPLEX, RATES, Own, fit

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice about workers


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


class Two(LightningModule):
    """A network of two inputs, which trains itself alone."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.signal = nn.Linear(3, 2, dtype=COMPLEX)
        self.place = nn.Linear(1, 2, dtype=COMPLEX)

    def forward(self, signal, place):
        return (self.signal(signal) * self.place(place)).abs()

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        return nn.functional.cross_entropy(self(*inputs), targets)

    def configure_optimizers(self):
        return Adam(self.parameters(), lr=0.01)


def test_networks_of_several_inputs_get_each_as_an_argument(tmp_path):
    generator = torch.Generator().manual_seed(0)
    signal, position = (torch.randn(24, n, dtype=COMPLEX, generator=generator) for n in (3, 1))
    labels = torch.arange(24) % 2
    samples = [((signal[n], position[n]), labels[n]) for n in range(24)]
    networks = [Two(0), Two(1)]
    stack = StackedModule(networks, nn.functional.cross_entropy, partial(Adam, lr=0.01))
    assert stack(signal, position).shape == (2, 24, 2)
    options = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    for module in (stack, *networks):
        trainer = Trainer(max_epochs=2, accelerator="cpu", enable_model_summary=False, **options)
        trainer.fit(module, DataLoader(samples, batch_size=8))
    for k, network in enumerate(networks):
        assert not torch.equal(network.signal.weight, Two(k).signal.weight)
        for key, value in stack.state_dict_of(k).items():
            torch.testing.assert_close(value, network.state_dict()[key], rtol=1e-10, atol=1e-12)


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
