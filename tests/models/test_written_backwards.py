"""Activations with a backward of our own against torchcvnn's, and against finite differences."""

import pytest
import torch
import torchcvnn.nn
from torch.func import functional_call

from cvtrain.models.activation import Cardioid, ModReLU
from cvtrain.models.parameters import cast_parameters

TWINS = pytest.mark.parametrize(
    ("ours", "theirs"),
    [(ModReLU, torchcvnn.nn.modReLU), (Cardioid, torchcvnn.nn.Cardioid)],
    ids=["modReLU", "cardioid"],
)
BIASES = pytest.mark.parametrize("bias", [-0.5, 0.0, 0.3])


def made(kind, bias, dtype=torch.complex128):
    module = kind()
    cast_parameters(module, dtype)
    for parameter in module.parameters():
        parameter.data.fill_(bias)
    return module


def entries(dtype):
    z = torch.randn(6, 7, dtype=dtype, generator=torch.Generator().manual_seed(0))
    z[0] = 0
    z[1, :4] = torch.tensor([1j, -2, 1e-12j, 3 - 1e-9j], dtype=dtype)
    return z


@TWINS
@BIASES
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.complex128, 2e-15), (torch.complex64, 1e-6)]
)
def test_values_and_gradients_are_torchcvnns_at_zero_too(ours, theirs, bias, dtype, tolerance):
    upstream = torch.randn(6, 7, dtype=dtype, generator=torch.Generator().manual_seed(1))
    seen = []
    for kind in (ours, theirs):
        module, z = made(kind, bias, dtype), entries(dtype).requires_grad_()
        out = module(z)
        out.backward(upstream)
        seen.append([out.detach(), z.grad, *(p.grad for p in module.parameters())])
    for mine, reference in zip(*seen, strict=True):
        assert mine.dtype == reference.dtype
        # Near 0 the derivative of the phase grows as 1/|z|, and its rounding with it.
        scale = 1 + reference.abs()
        assert ((mine - reference).abs() / scale).max() <= 10 * tolerance


@TWINS
@BIASES
def test_the_backward_is_the_derivative(ours, theirs, bias):
    module = made(ours, bias)
    z = torch.randn(12, dtype=torch.complex128, generator=torch.Generator().manual_seed(2))
    parameters = dict(module.named_parameters())

    def function(z, *values):
        return functional_call(module, dict(zip(parameters, values, strict=True)), (z,))

    assert torch.autograd.gradcheck(function, (z.requires_grad_(), *parameters.values()))


@TWINS
@pytest.mark.parametrize("stacked_input", [True, False])
def test_a_stack_of_biases_is_a_loop_over_them(ours, theirs, stacked_input):
    biases = torch.tensor([-0.4, 0.0, 0.2], dtype=torch.float64)
    z = torch.randn(3, 5, 4, dtype=torch.complex128)
    z = z if stacked_input else z[0]
    module = made(ours, 0.0)

    def loss(bias, z):
        values = {name: bias for name, _ in module.named_parameters()}
        return functional_call(module, values, (z,)).abs().square().sum()

    together, z = biases.clone().requires_grad_(), z.requires_grad_()
    losses = torch.vmap(loss, in_dims=(0, 0 if stacked_input else None))(together, z)
    losses.sum().backward()
    gradient, z.grad = z.grad, None
    for k, bias in enumerate(biases):
        alone = bias.clone().requires_grad_()
        value = loss(alone, z[k] if stacked_input else z)
        assert torch.allclose(losses[k], value, rtol=1e-14)
        value.backward()
        if ours is ModReLU:
            assert torch.allclose(together.grad[k], alone.grad, rtol=1e-13)
    assert torch.allclose(gradient, z.grad, rtol=1e-13)


@TWINS
def test_derivatives_can_be_taken_inside_a_vmap(ours, theirs):
    z = torch.randn(3, 4, dtype=torch.complex128)
    mine, reference = made(ours, 0.1), made(theirs, 0.1)
    gradients = [
        torch.vmap(torch.func.grad(lambda z, f=f: f(z).abs().square().sum()))(z)
        for f in (mine, reference)
    ]
    assert torch.allclose(*gradients, rtol=1e-13)


@TWINS
def test_a_second_derivative_is_refused_rather_than_wrong(ours, theirs):
    z = torch.randn(4, dtype=torch.complex128, requires_grad=True)
    (first,) = torch.autograd.grad(made(ours, 0.1)(z).abs().square().sum(), z, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.abs().sum().backward()
