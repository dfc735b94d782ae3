"""The unitary recurrent network: its matrix, its recurrence, and what is kept over many steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

import cvtrain
from cvtrain.models.activation import ModReLU
from cvtrain.models.parameters import count_parameters
from cvtrain.models.urnn import UnitaryMap, Urnn
from cvtrain.process.errors import InputError
from tests.models.member_networks import C128, assert_engines_agree, assert_stacks

DTYPES = pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)


def sequences(*shape: int, dtype: torch.dtype = C128) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def unitary(units: int = 12, seed: int = 0) -> UnitaryMap:
    torch.manual_seed(seed)
    return UnitaryMap(units, dtype=C128)


def built(shape=(7, 3), /, **options) -> Urnn:
    """With no parameter at zero."""
    torch.manual_seed(0)
    model = Urnn(shape, 2, **{"hidden": 6, "dtype": C128} | options)
    for name, parameter in model.named_parameters():
        if name.endswith(("bias", ".b")):
            nn.init.uniform_(parameter, -0.3, 0.3)
    return model


def dense(model: UnitaryMap) -> np.ndarray:
    """W by the product of its seven factors."""
    theta, v = model.phases.detach().numpy(), model.reflections.detach().numpy()
    n = theta.shape[1]
    d_1, d_2, d_3 = (np.diag(np.exp(1j * angles)) for angles in theta)
    r_1, r_2 = (np.eye(n) - 2 * np.outer(e, e.conj()) / np.vdot(e, e) for e in v)
    j = np.arange(n)
    f = np.exp(-2j * np.pi * np.outer(j, j) / n) / np.sqrt(n)
    p = np.eye(n)[model.permutation.numpy()]
    return d_3 @ r_2 @ f.conj().T @ d_2 @ p @ r_1 @ f @ d_1


@pytest.mark.parametrize("units", [1, 2, 12, 33])
def test_the_matrix_is_the_product_of_its_factors(units):
    model = unitary(units)
    w = dense(model)
    torch.testing.assert_close(model.transposed(), torch.from_numpy(w.T), rtol=0, atol=1e-13)
    h = sequences(5, units)
    torch.testing.assert_close(model(h), h @ torch.from_numpy(w.T), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_matrix_is_unitary_wherever_training_takes_it(seed):
    model = unitary(64, seed)
    for parameter in model.parameters():
        parameter.data += 3 * torch.randn_like(parameter)
    w = model.transposed()
    identity = torch.eye(64, dtype=C128)
    assert (w @ w.mH - identity).abs().max() < 1e-12


def test_it_has_seven_real_numbers_per_unit_and_a_permutation_that_is_not_learned():
    model = unitary(20)
    assert count_parameters(model.parameters()).real_degrees_of_freedom == 7 * 20
    assert sorted(model.permutation.tolist()) == list(range(20))
    assert not torch.equal(model.permutation, unitary(20, seed=1).permutation)
    assert set(model.state_dict()) == {"phases", "reflections", "permutation"}


def test_states_keep_their_norm_without_input_and_bias():
    torch.manual_seed(0)
    model = Urnn((300, 1), 24, hidden=24, outputs="every", dtype=C128)
    with torch.no_grad():
        model.head.weight.copy_(torch.eye(24))
    h = model(torch.zeros(2, 300, 1, dtype=C128))
    norm = model.initial_state.norm().item()
    torch.testing.assert_close(h.norm(dim=1), torch.full((2, 300), norm, dtype=torch.float64))


def test_gradients_keep_their_norm_through_time():
    """‖∂L/∂h_0‖ = ‖∂L/∂h_T‖ where modReLU is the identity and L is linear."""
    model = built((50, 1), hidden=16)
    nn.init.zeros_(model.recurrent_activation.b)
    model(torch.zeros(1, 50, 1, dtype=C128))[0, 0].real.backward()
    expected = model.head.weight[0].norm().item()
    assert model.initial_state.grad.norm().item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("head", ["complex", "real"])
def test_it_is_the_recurrence_written_out(head):
    model = built(head=head, outputs="every")
    last = built(head=head, outputs="last")
    last.load_state_dict(model.state_dict())
    w = dense(model.unitary)
    v, b = (t.detach().numpy() for t in (model.input_map.weight, model.recurrent_activation.b))
    u, shift = (t.detach().numpy() for t in (model.head.weight, model.head.bias))
    x = sequences(4, 7, 3)
    for n, sequence in enumerate(x.numpy()):
        h = model.initial_state.detach().numpy()
        for t, entry in enumerate(sequence):
            z = w @ h + v @ entry
            h = np.maximum(np.abs(z) + b, 0) * z / np.abs(z)
            features = np.concatenate([h.real, h.imag]) if head == "real" else h
            y = torch.from_numpy(u @ features + shift)
            torch.testing.assert_close(model(x)[n, :, t], y, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(last(x)[n], y, rtol=1e-12, atol=1e-13)


@DTYPES
@pytest.mark.parametrize("head", ["complex", "real"])
@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_outputs_are_of_the_last_step_or_of_every_one(shape, head, dtype):
    kind = dtype if head == "complex" else dtype.to_real()
    x = sequences(4, *shape, dtype=dtype)
    for outputs, expected in (("last", (4, 2)), ("every", (4, 2, 5))):
        y = built(shape, head=head, outputs=outputs, dtype=dtype)(x)
        assert (y.shape, y.dtype) == (expected, kind)
    y = built(shape, head=head, outputs="every", dtype=dtype)(x)
    later = built(shape, head=head, outputs="every", dtype=dtype)(x[:, :3])
    torch.testing.assert_close(later, y[..., :3])


@pytest.mark.parametrize("outputs", ["last", "every"])
def test_gradients_are_those_of_finite_differences(outputs):
    model = built((4, 2), hidden=3, outputs=outputs)
    names = [name for name, _ in model.named_parameters()]

    def output(x, *values):
        return functional_call(model, dict(zip(names, values, strict=True)), (x,))

    x = sequences(2, 4, 2).requires_grad_()
    assert torch.autograd.gradcheck(output, (x, *model.parameters()))


@pytest.mark.parametrize("outputs", ["last", "every"])
@pytest.mark.parametrize("head", ["complex", "real"])
def test_a_stack_is_its_members_each_with_its_own_permutation(head, outputs):
    x = sequences(3, 7, 3)
    assert_stacks(lambda: Urnn((7, 3), 2, hidden=6, head=head, outputs=outputs, dtype=C128), x)


def test_modrelu_may_have_a_bias_of_each_unit():
    one, many = ModReLU(), ModReLU(3)
    z = sequences(5, 3)
    for k, bias in enumerate((-0.5, 0.0, 0.4)):
        many.b.data[k] = one.b.data[...] = bias
        assert torch.equal(many(z)[:, k], one(z)[:, k])


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        ((2, 3, 4), {}, r"input_shape=\[2, 3, 4\]: should be that of sequences"),
        ((5,), {"head": "Real"}, "head=Real: should be one of complex, real"),
        ((5,), {"outputs": "all"}, "outputs=all: should be one of last, every"),
        ((5,), {"dtype": torch.float32}, "dtype=torch.float32: should be torch.complex64"),
        ((5,), {"initialisation": "lecun"}, "initialisation=lecun: should be one of glorot"),
        ((5,), {"hidden": 0}, "hidden=0: should be at least 1"),
    ],
)
def test_what_makes_no_network_is_refused(shape, given, message):
    with pytest.raises(ValueError, match=message):
        Urnn(shape, 2, **{"dtype": C128} | given)


def test_both_engines_train_it_to_the_same_weights(tmp_path):
    arguments = ["data=copy_memory", "data.delay=3", "data.length=4", "data.train_samples=64"]
    assert_engines_agree(
        tmp_path, *arguments, "model=urnn", "model.hidden=6", "model.outputs=every"
    )


def test_outputs_of_every_step_want_labels_of_every_step():
    with pytest.raises(InputError, match=r"shape \[4, 10, 8\], should be \[4, 10\]"):
        cvtrain.configure("data=digits_fft", "model=urnn", "model.outputs=every")


def test_the_first_state_has_unit_energy_in_the_mean_and_uniform_parts():
    units = 20_000
    torch.manual_seed(0)
    state = Urnn((5, 1), 2, hidden=units, dtype=C128).initial_state.detach()
    largest = (3 / (2 * units)) ** 0.5
    # A square of a part has mean 1/2n and variance 4/5 of that squared: six deviations.
    assert state.abs().square().sum().item() == pytest.approx(1, abs=6 * (0.4 / units) ** 0.5)
    for part in (state.real, state.imag):
        assert 0.99 * largest < part.abs().max().item() <= largest
