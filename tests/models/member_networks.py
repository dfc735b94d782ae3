"""Members of a stack alone, adapted alone, under vmap and trained, and what they agree in."""

import pytest
import torch
import torchcvnn.nn as cnn
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

import cvtrain
from cvtrain.config.point import Point
from cvtrain.data.load import load_dataset
from cvtrain.models.parameters import cast_parameters
from cvtrain.models.stacked.generators import MemberGenerators
from cvtrain.models.stacked.network import StackedNetwork, stackable
from cvtrain.runs.checkpoint import checkpoint_path, load_checkpoint
from cvtrain.training.job import Job
from cvtrain.training.network import build_model
from cvtrain.training.train import train

SEEDS = (5, 0, 11)
K = len(SEEDS)
C64, C128 = torch.complex64, torch.complex128
F32, F64 = torch.float32, torch.float64
TOLERANCE = {C64: 2e-5, F32: 2e-5, C128: 1e-12, F64: 1e-12}


class Scaled(nn.Module):
    """Gives a network that has no parameters one, of each member."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.scale * x


class Attention(nn.Module):
    def __init__(self, norm, dropout=0.0):
        super().__init__()
        self.attention = cnn.MultiheadAttention(4, 2, dropout=dropout, norm_layer=norm)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


def members(make, dtype):
    """K networks with different parameters, none of them at its initial value."""
    torch.manual_seed(0)
    networks = [make() for _ in SEEDS]
    for network in networks:
        cast_parameters(network, dtype.to_complex())
        for parameter in network.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return networks


def network():
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, dtype=C64),
        cnn.BatchNorm2d(3),
        cnn.Dropout2d(0.3),
        nn.Flatten(),
        cnn.Dropout(0.2),
    )


class Loop:
    """Each member alone, drawing from torch's global state after `manual_seed` of its seed."""

    def __init__(self, networks):
        self.networks = networks
        self.random = [torch.Generator().manual_seed(seed).get_state() for seed in SEEDS]

    def train(self, mode):
        for network in self.networks:
            network.train(mode)

    def __call__(self, xs):
        ys = []
        for k, (network, x) in enumerate(zip(self.networks, xs, strict=True)):
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(self.random[k])
                ys.append(network(x))
                self.random[k] = torch.get_rng_state()
        return torch.stack(ys)

    def state(self):
        return torch.stack(self.random)

    def named(self, which):
        states = [dict(getattr(network, which)()) for network in self.networks]
        return {name: torch.stack([named[name] for named in states]) for name in states[0]}

    def gradients(self):
        parameters = [dict(network.named_parameters()) for network in self.networks]
        return {
            name: torch.stack([named[name].grad for named in parameters]) for name in parameters[0]
        }


class Adapted(Loop):
    """Each member alone, made stackable, with a generator of its own."""

    def __init__(self, networks):
        self.generators = [MemberGenerators([seed]) for seed in SEEDS]
        pairs = zip(networks, self.generators, strict=True)
        self.networks = [stackable(network, generators) for network, generators in pairs]

    def __call__(self, xs):
        return torch.stack([n(x) for n, x in zip(self.networks, xs, strict=True)])

    def state(self):
        return torch.cat([generators.state() for generators in self.generators])


class Stack:
    """All members under vmap."""

    def __init__(self, networks, seeds=SEEDS):
        self.generators = MemberGenerators(seeds)
        self.network = stackable(networks[0], self.generators)
        self.parameters, self.buffers = stack_module_state(networks)

    def train(self, mode):
        self.network.train(mode)

    def __call__(self, xs, in_dim=0):
        def one(parameters, buffers, x):
            return functional_call(self.network, (parameters, buffers), (x,))

        batched = vmap(one, in_dims=(0, 0, in_dim), randomness="error")
        return batched(self.parameters, self.buffers, xs)

    def state(self):
        return self.generators.state()

    def named(self, which):
        return {"named_parameters": self.parameters, "named_buffers": self.buffers}[which]

    def gradients(self):
        return {name: parameter.grad for name, parameter in self.parameters.items()}


class SharedInput(Stack):
    """All members under vmap, their input not batched."""

    def __call__(self, xs):
        return super().__call__(xs[0], None)


def assert_near(actual, expected, tolerance):
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= tolerance * (1 + expected.abs().max())


def assert_agrees(make, kind, shape, dtype, tolerance):
    """Outputs, gradients, buffers and random state over three steps, then in evaluation."""
    plain, tested = Loop(members(make, dtype)), kind(members(make, dtype))
    for step, training in enumerate((True, True, True, False)):
        generator = torch.Generator().manual_seed(step)
        xs = torch.randn(K, *shape, dtype=dtype, generator=generator)
        weight = torch.randn((), dtype=dtype, generator=generator)
        if kind is SharedInput:
            xs = xs[:1]
        before = {name: value.clone() for name, value in tested.named("named_buffers").items()}
        inputs, outputs = [], []
        for runs in (plain, tested):
            runs.train(training)
            inputs.append(xs.clone().requires_grad_())
            outputs.append(runs(inputs[-1].expand(K, *shape)))
            # Not Σ|y|², which a normalisation keeps constant.
            ((weight * outputs[-1]).real + outputs[-1].abs().pow(3)).sum().backward()
        assert_near(outputs[1], outputs[0], tolerance)
        assert_near(inputs[1].grad, inputs[0].grad, tolerance)
        assert inputs[1].grad.abs().max() > 0
        gradients = plain.gradients()
        for name, gradient in tested.gradients().items():
            assert_near(gradient, gradients[name], tolerance)
        buffers = plain.named("named_buffers")
        for name, buffer in tested.named("named_buffers").items():
            assert_near(buffer, buffers[name], tolerance)
            assert training or torch.equal(buffer, before[name])
        assert torch.equal(tested.state(), plain.state())


def assert_stacks(make, x, tolerance=1e-12):
    """A stack of two seeds has the outputs, gradients and buffers of the two alone, trained and
    evaluated."""
    networks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        networks.append(make())
    stack = StackedNetwork(networks, [0, 1], [0, 1])
    for training in (True, False):
        for network in (stack, *networks):
            network.train(training)
        stack.zero_grad()
        together = stack(torch.stack([x, 1.5 * x]))
        together.abs().pow(3).sum().backward()
        for k, network in enumerate(networks):
            network.zero_grad()
            alone = network((1, 1.5)[k] * x)
            alone.abs().pow(3).sum().backward()
            assert_near(together[k], alone, tolerance)
            for name, parameter in network.named_parameters():
                gradient = stack.network.get_parameter(name).grad[k]
                assert_near(gradient, parameter.grad, tolerance)
            for name, tensor in stack.member_state(k).items():
                assert_near(tensor, network.state_dict()[name], tolerance)


def assert_engines_agree(directory, *overrides, rtol=1e-9, atol=1e-11):
    """A stack of two seeds gives the second the weights that it has when it is trained alone, and
    they are no longer the initial ones. `assert_stacks` compares both members, call by call."""
    options = ["dtype=complex128", "max_steps=4", "batch_size=16", *overrides]
    points = tuple(
        Point(seed, cvtrain.configure(*options, f"seed={seed}"), (), str(seed)) for seed in (0, 1)
    )
    alone = points[1]
    train(Job(points, directory / "stack", "stack"))
    train(Job((alone,), directory / "single"))
    stacked, single = (
        load_checkpoint(checkpoint_path(directory / engine / alone.directory, "last"))[0]
        for engine in ("stack", "single")
    )
    initial = build_model(alone.config, load_dataset(alone.config)).state_dict()
    assert stacked.keys() == single.keys() == initial.keys()
    assert any(not torch.equal(single[name], weight) for name, weight in initial.items())
    for name, weight in single.items():
        torch.testing.assert_close(stacked[name], weight, rtol=rtol, atol=atol)


def assert_same_bits(actual, expected):
    assert actual.dtype == expected.dtype
    assert torch.equal(actual, expected)


KINDS = pytest.mark.parametrize("kind", [Stack, SharedInput, Adapted])
COMPLEX = pytest.mark.parametrize("dtype", [C64, C128], ids=str)
REAL = pytest.mark.parametrize("dtype", [F32, F64], ids=str)
