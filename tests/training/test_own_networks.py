"""Which networks of a user's own make one `StackedModule`, and what is said of the others."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from cvtrain import StackedModule
from cvtrain.optim import Adam
from tests.training.own_networks import COMPLEX, RATES, Own, fit

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice about workers


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


def test_a_function_may_call_itself():
    def made():
        def powers(x, times=2):
            return x if times == 0 else x * powers(x, times - 1)

        return Activated(powers, linear())

    StackedModule([made(), made()], nn.functional.cross_entropy, Adam)


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
