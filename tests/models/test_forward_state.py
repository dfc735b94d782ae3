"""What a forward leaves behind is kept for each member, or the stack is refused by its name."""

from functools import partial

import pytest
import torch
from torch import nn

from cvtrain.models.forward_state import StatefulForward
from cvtrain.models.stacked.network import StackedNetwork
from tests.models import replacing_networks as replacing
from tests.models import stateful_networks as stateful
from tests.models.member_networks import assert_stacks
from tests.models.replacing_networks import OnlyEvery, RunningMean
from tests.models.stateful_networks import Linear


class Notes:
    """An object of the user's own, beside the network."""

    def __init__(self):
        self.lines = []

    def hook(self, layer, inputs, output):
        self.lines.append(1)


def hooked_list():
    seen = []
    network = Linear()
    network.lin.register_forward_hook(lambda layer, inputs, output: seen.append(1))
    return network


def hooked_before():
    seen = {"calls": 0}

    def hook(calls, layer, inputs):
        calls["calls"] += 1

    network = Linear()
    network.register_forward_pre_hook(partial(hook, seen))
    return network


def hooked_object():
    network = Linear()
    network.lin.register_forward_hook(Notes().hook)
    return network


CHANGES = {
    stateful.Counter: "Counter.counter",
    stateful.FirstOfTheClass: "FirstOfTheClass.count",
    stateful.InALayer: "InALayer.inner.0.counter",
    stateful.Latest: "Latest.latest",
    stateful.RunningAttribute: "RunningAttribute.running",
    stateful.Constant: "Constant.plain",
    stateful.InPlace: "InPlace.plain",
    stateful.Listed: "Listed.history",
    stateful.Nested: r"Nested.state\['inner'\]\[0\]\['steps'\]",
    stateful.Queue: r"Queue.window\[0\]",
    stateful.Seen: "Seen.sizes",
    stateful.Array: "Array.table",
    stateful.Object: "Object.notes.lines",
    stateful.Numbered: "Numbered.numbers",
    stateful.Yielding: "Yielding.numbers",
    stateful.OfTheClass: "OfTheClass.calls",
    stateful.OfTheModule: r"[a-z_.]*stateful_networks.COUNT",
    stateful.ListOfTheModule: r"[a-z_.]*stateful_networks.LOG",
    stateful.DictOfTheModule: r"[a-z_.]*stateful_networks.PLACE\['calls'\]",
    stateful.OfAFunction: "_bump.calls",
    stateful.Default: r"Default.leave\(\)\[0\]",
    stateful.Python: "the random numbers of Python",
    stateful.NumPy: "the random numbers of NumPy",
    stateful.OwnGenerator: "OwnGenerator.random",
    replacing.Renormed: "Renormed.lin.weight",
    stateful.Switching: "Switching.lin.training",
    replacing.EvaluatedInPlace: "EvaluatedInPlace.mean in evaluation mode",
    hooked_list: r"hooked_list.<locals>.<lambda>.seen",
    hooked_before: r"Linear._forward_pre_hooks",
    hooked_object: r"Linear.lin._forward_hooks\[\d+\].lines",
}
REPLACES = {
    replacing.Lazy: "adds or removes scale",
    replacing.FilledLater: "adds or removes scale",
    replacing.Emptied: "adds or removes mean",
    replacing.ReplacedParameter: "replaces lin.weight",
    replacing.Reshaped: r"makes mean \[1, 3\] torch.float64",
    replacing.WithGraph: "leaves mean with a graph of gradients",
    replacing.Shared: "replaces other.mean",
    replacing.EvaluatedToo: "replaces mean in evaluation mode",
}


def steps(stack: StackedNetwork, count: int = 2) -> None:
    for training in (True, False) * count:
        stack.train(training)
        stack(torch.randn(2, 5, 3, dtype=torch.float64)).sum()


def stack_of(make) -> StackedNetwork:
    return StackedNetwork([make(), make()], [0, 1], [0, 1])


@pytest.mark.parametrize("make", [RunningMean, OnlyEvery])
def test_a_buffer_that_is_replaced_is_each_members_own(make):
    assert_stacks(make, torch.randn(4, 3, dtype=torch.float64))


def test_replaced_buffers_go_on_from_call_to_call():
    networks = [RunningMean(), RunningMean()]
    stack = StackedNetwork(networks, [0, 1], [0, 1])
    for step in range(5):
        x = torch.randn(2, 6, 3, dtype=torch.float64) + step
        together = stack(x)
        for k, network in enumerate(networks):
            torch.testing.assert_close(together[k], network(x[k]), rtol=1e-12, atol=1e-14)
            for name, buffer in network.named_buffers():
                kept = stack.member_state(k)[name]
                torch.testing.assert_close(kept, buffer, rtol=1e-12, atol=1e-14)
    assert stack.member_state(1)["batches"] == 5
    stack.eval()
    before = {name: buffer.clone() for name, buffer in stack.named_buffers()}
    x = torch.randn(1, 6, 3, dtype=torch.float64)
    assert torch.equal(stack(x, slice(1, 2))[0], stack(x.expand(2, 6, 3))[1])
    assert all(torch.equal(before[name], buffer) for name, buffer in stack.named_buffers())


@pytest.mark.parametrize(("make", "where"), CHANGES.items(), ids=lambda each: None)
def test_what_is_left_behind_elsewhere_is_refused_by_its_name(make, where):
    with pytest.raises(StatefulForward, match=f"its forward changes {where}.*: should"):
        steps(stack_of(make))


@pytest.mark.parametrize(("make", "message"), REPLACES.items(), ids=lambda each: None)
def test_buffers_and_parameters_that_are_replaced_otherwise_are_refused(make, message):
    with pytest.raises(StatefulForward, match=f"its forward {message}: should"):
        steps(stack_of(make))


def test_a_forward_that_leaves_nothing_behind_is_not_refused():
    steps(stack_of(Linear), 5)


class Late(Linear):
    def prepare(self):
        self.calls_in_training = [0]

    def leave(self, x):
        if self.training and bool(self.mean is not None) and len(x) > 5:
            self.calls_in_training.append(1)


def test_what_begins_later_is_found_at_the_calls_that_are_looked_at():
    stack = stack_of(Late)
    for _ in range(3):
        stack(torch.randn(2, 5, 3, dtype=torch.float64))
    with pytest.raises(StatefulForward, match=r"Late\.calls_in_training"):
        for _ in range(5):
            stack(torch.randn(2, 6, 3, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["layer", "before", "parameter", "accumulated"])
def test_hooks_on_gradients_are_refused(kind):
    def make():
        network = Linear()
        if kind == "layer":
            network.lin.register_full_backward_hook(lambda *_: None)
        elif kind == "before":
            network.lin.register_full_backward_pre_hook(lambda *_: None)
        elif kind == "parameter":
            network.lin.weight.register_hook(lambda gradient: 0 * gradient)
        else:
            network.lin.weight.register_post_accumulate_grad_hook(lambda parameter: None)
        return network

    with pytest.raises(ValueError, match="the network has a hook on the gradients of lin"):
        stack_of(make)


def test_shared_parameters_are_no_replaced_ones():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3, dtype=torch.float64)
            self.second = nn.Linear(3, 3, dtype=torch.float64)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(self.first(x))

    assert_stacks(Tied, torch.randn(4, 3, dtype=torch.float64))
