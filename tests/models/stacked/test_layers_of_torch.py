"""Layers of torch that `vmap` does not take as they are: each member is what it is alone."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from cvtrain.models.stacked.network import StackedNetwork
from tests.models.member_networks import (
    C128,
    F64,
    KINDS,
    assert_agrees,
    assert_engines_agree,
    assert_stacks,
)


class Sequences(nn.Module):
    """Outputs and final states of a recurrent layer for sequences."""

    def __init__(self, kind, options):
        super().__init__()
        self.layer = kind(3, 5, dtype=F64, **options)

    def forward(self, x):
        y, state = self.layer(x)
        states = state if isinstance(state, tuple) else (state,)
        return torch.cat([part.flatten() for part in (y, *states)])


@KINDS
@pytest.mark.parametrize(
    ("layer", "options"),
    [
        *((kind, {}) for kind in (nn.RNN, nn.LSTM, nn.GRU)),
        *(
            (kind, {"num_layers": 2, "bidirectional": True, "batch_first": True})
            for kind in (nn.RNN, nn.LSTM, nn.GRU)
        ),
        (nn.RNN, {"nonlinearity": "relu", "bias": False}),
        (nn.LSTM, {"proj_size": 2, "num_layers": 2, "bidirectional": True}),
        (nn.GRU, {"num_layers": 3, "dropout": 0.4}),
        (nn.LSTM, {"num_layers": 2, "dropout": 0.4, "bidirectional": True, "batch_first": True}),
    ],
    ids=str,
)
def test_recurrent_layers_have_torchs_numbers(layer, options, kind):
    assert_agrees(lambda: Sequences(layer, options), kind, (4, 6, 3), F64, 1e-12)


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_recurrent_cells_have_torchs_numbers(cell):
    class Cells(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell(3, 5, dtype=F64)

        def forward(self, x):
            state = self.cell(x)
            return self.cell(x, state)[0]

    assert_stacks(Cells, torch.randn(4, 3, dtype=F64))


def parametrized(function, dtype, options):
    layer = function(nn.Linear(3, 4, dtype=dtype), **options)
    return nn.Sequential(layer, nn.Tanh(), nn.Linear(4, 2, dtype=dtype))


@KINDS
@pytest.mark.parametrize(
    ("function", "dtype", "options"),
    [
        (parametrizations.orthogonal, F64, {}),
        (parametrizations.orthogonal, C128, {"orthogonal_map": "cayley"}),
        (parametrizations.orthogonal, F64, {"orthogonal_map": "householder"}),
        (parametrizations.spectral_norm, F64, {}),
        (parametrizations.spectral_norm, C128, {"n_power_iterations": 3}),
        (parametrizations.weight_norm, F64, {}),
        (parametrizations.weight_norm, F64, {"dim": 1}),
        (parametrizations.weight_norm, F64, {"dim": None}),
    ],
)
def test_parametrized_layers_have_torchs_numbers(function, dtype, options, kind):
    assert_agrees(lambda: parametrized(function, dtype, options), kind, (5, 3), dtype, 1e-10)


def test_parametrized_layers_of_two_classes_or_functions_are_told_apart():
    spectral = parametrized(parametrizations.spectral_norm, F64, {})
    for other, message in (
        (parametrized(parametrizations.weight_norm, F64, {}), "0.parametrizations.weight.0 _Sp"),
        (nn.Sequential(nn.Linear(3, 4), *spectral[1:]), "0.parametrizations ModuleDict, 1 Tanh"),
    ):
        with pytest.raises(ValueError, match=f"the networks differ in layers .{message}"):
            StackedNetwork([spectral, other], [0, 1], [0, 1])


@pytest.mark.parametrize("name", ["spectral_norm", "weight_norm"])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_a_weight_that_a_hook_writes_is_refused_by_what_can_be_stacked(name):
    hooked = nn.Sequential(getattr(nn.utils, name)(nn.Linear(3, 4)))
    message = rf"torch\.nn\.utils\.{name} of 0 writes .*parametrizations\.{name} can be stacked"
    with pytest.raises(ValueError, match=message):
        StackedNetwork([hooked], [0, 0], [0, 1])


def compiled(whole):
    network = nn.Sequential(nn.Linear(3, 4, dtype=F64), nn.Tanh(), nn.Linear(4, 2, dtype=F64))
    if whole == "in place":
        network.compile(backend="eager")
        return network
    if whole:
        return torch.compile(network, backend="eager")
    return nn.Sequential(torch.compile(network, backend="eager"), nn.Tanh())


@pytest.mark.parametrize("whole", [True, False, "in place"])
def test_compiled_networks_have_the_same_numbers(whole):
    assert_stacks(lambda: compiled(whole), torch.randn(4, 3, dtype=F64))


class Recurrent(nn.Module):
    """All of it at once, in what is a network of a user's own."""

    def __init__(self, in_features, out_features, dtype):
        super().__init__()
        real = dtype.to_real()
        options = {"num_layers": 2, "bidirectional": True, "batch_first": True, "dropout": 0.25}
        self.inner = parametrizations.orthogonal(nn.Linear(in_features, 4, dtype=dtype))
        self.layers = nn.GRU(2, 5, dtype=real, **options)
        self.head = parametrizations.spectral_norm(nn.Linear(10, out_features, dtype=real))

    def forward(self, x):
        y, _ = self.layers(torch.view_as_real(self.inner(x.flatten(1))))
        return self.head(F.dropout(y.mean(1), 0.1, self.training))


@pytest.mark.parametrize(
    ("dtype", "rtol", "atol"), [("complex128", 1e-9, 1e-11), ("complex64", 1e-4, 1e-5)]
)
def test_a_recurrent_network_has_the_same_numbers_in_either_engine(tmp_path, dtype, rtol, atol):
    network = ("model=custom", f"model._target_={__name__}.Recurrent", "trusted_modules=[tests]")
    options = (f"dtype={dtype}", "max_steps=20", "optimizer=adam", "batch_size=8")
    rarely = ("signals.scalars_every=20", "signals.validation_every=20")
    assert_engines_agree(tmp_path, *network, *options, *rarely, rtol=rtol, atol=atol)
