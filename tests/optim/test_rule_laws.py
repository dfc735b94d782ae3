"""What holds exactly: the law of the factor 2, and Re and Im as two real parameters."""

import pytest
import torch
from torch import Tensor

from cvtrain.optim import SGD, Adagrad, Adam, AdamW, RMSprop

DECAYED = {"weight_decay": 0.25}
LAWS = [
    (SGD, {"lr": 0.125}, {"lr": -1}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3} | DECAYED, {"lr": -1, "weight_decay": 1}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True} | DECAYED, {"lr": -1, "weight_decay": 1}),
    (Adam, {"lr": 0.01, "eps": 0.01}, {"eps": 1}),
    (Adam, {"lr": 0.01, "eps": 0.01} | DECAYED, {"eps": 1, "weight_decay": 1}),
    (Adam, {"lr": 0.01, "eps": 0.01, "amsgrad": True} | DECAYED, {"eps": 1, "weight_decay": 1}),
    (AdamW, {"lr": 0.01, "eps": 0.01} | DECAYED, {"eps": 1}),
    (RMSprop, {"lr": 0.01, "eps": 0.01} | DECAYED, {"eps": 1, "weight_decay": 1}),
    (RMSprop, {"lr": 0.01, "eps": 0.01, "momentum": 0.9, "centered": True}, {"eps": 1}),
    (
        Adagrad,
        {"lr": 0.1, "eps": 0.01, "lr_decay": 0.1, "initial_accumulator_value": 0.2} | DECAYED,
        {"eps": 1, "initial_accumulator_value": 2, "weight_decay": 1},
    ),
]
BROKEN = [
    (SGD, {"lr": 0.125}, {}),
    (SGD, {"lr": 0.125} | DECAYED, {"lr": -1}),
    (Adam, {"lr": 0.01, "eps": 0.01}, {}),
    (Adam, {"lr": 0.01, "eps": 0.01} | DECAYED, {"eps": 1}),
    (AdamW, {"lr": 0.01, "eps": 0.01} | DECAYED, {"eps": 1, "weight_decay": 1}),
    (RMSprop, {"lr": 0.01, "eps": 0.1}, {}),
    (RMSprop, {"lr": 0.01, "eps": 0.01} | DECAYED, {"eps": 1}),
    (Adagrad, {"lr": 0.1, "initial_accumulator_value": 0.2}, {"initial_accumulator_value": 1}),
]


def trained(optimizer, hyperparameters: dict, dtype: torch.dtype, c: float = 1.0) -> Tensor:
    """Weights after 60 steps on a quartic, whose gradient is multiplied by c."""
    generator = torch.Generator().manual_seed(1)
    w = torch.randn(5, 3, dtype=dtype, generator=generator).requires_grad_()
    rule = optimizer([w], **hyperparameters)
    for _ in range(60):
        target = torch.randn(5, 3, dtype=dtype, generator=generator)
        error = w - target
        (g,) = torch.autograd.grad(((error.real**2 + error.imag**2) ** 2).mean().sqrt(), w)
        w.grad = c * g
        rule.step()
    return w.detach()


def moved(hyperparameters: dict, exponents: dict[str, int], c: float) -> dict:
    return hyperparameters | {name: hyperparameters[name] * c**n for name, n in exponents.items()}


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("c", [0.5, 2.0, 0.25])
@pytest.mark.parametrize(("optimizer", "hyperparameters", "exponents"), LAWS)
def test_powers_of_two_are_absorbed_bit_for_bit(optimizer, hyperparameters, exponents, c, dtype):
    reference = trained(optimizer, hyperparameters, dtype)
    assert reference.isfinite().all()
    scaled = trained(optimizer, moved(hyperparameters, exponents, c), dtype, c)
    assert torch.equal(reference, scaled)


@pytest.mark.parametrize(("optimizer", "hyperparameters", "exponents"), BROKEN)
def test_other_exponents_do_not_absorb_them(optimizer, hyperparameters, exponents):
    reference = trained(optimizer, hyperparameters, torch.complex128)
    scaled = trained(optimizer, moved(hyperparameters, exponents, 0.5), torch.complex128, 0.5)
    assert not torch.allclose(reference, scaled, rtol=1e-3)


PAIRS = [
    (SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}, False),
    (Adam, {"lr": 0.01, "weight_decay": 0.01, "amsgrad": True}, False),
    (Adam, {"lr": 0.01}, True),
    (Adam, {"lr": 0.01, "amsgrad": True}, True),
    (AdamW, {"lr": 0.01}, True),
    (RMSprop, {"lr": 0.01, "momentum": 0.9, "centered": True}, True),
    (Adagrad, {"lr": 0.1, "lr_decay": 0.1}, True),
]


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize(("optimizer", "hyperparameters", "bitwise"), PAIRS)
def test_split_semantics_is_two_real_parameters(optimizer, hyperparameters, bitwise, dtype):
    """Bitwise for Adam; rounding apart where torch fuses a real multiply and add, and no complex
    one: in SGD, and in coupled weight decay."""
    torch.manual_seed(2)
    w = torch.randn(7, 5, dtype=dtype)
    z = w.clone().requires_grad_()
    pair = [part.clone().requires_grad_() for part in (w.real, w.imag)]
    optimizers = [optimizer([z], **hyperparameters), optimizer(pair, **hyperparameters)]
    assert optimizers[0].semantics == "split"
    for _ in range(20):
        z.grad = torch.randn_like(z)
        pair[0].grad, pair[1].grad = z.grad.real.clone(), z.grad.imag.clone()
        for o in optimizers:
            o.step()
    together = torch.complex(*(p.detach() for p in pair))
    if bitwise:
        assert torch.equal(z.detach(), together)
    else:
        rounding = 64 * torch.finfo(dtype).eps
        torch.testing.assert_close(z.detach(), together, rtol=rounding, atol=rounding)


def test_the_first_adam_step_ignores_the_modulus():
    w = torch.zeros(1, dtype=torch.complex128, requires_grad=True)
    w.grad = torch.tensor([3 + 4j], dtype=torch.complex128)
    Adam([w], lr=0.25, eps=0.0).step()
    assert torch.allclose(w.detach() / 0.25, torch.tensor([-1 - 1j], dtype=torch.complex128))


def test_the_first_sgd_step_follows_the_gradient():
    w = torch.zeros(1, dtype=torch.complex128, requires_grad=True)
    w.grad = torch.tensor([3 + 4j], dtype=torch.complex128)
    SGD([w], lr=0.5).step()
    assert w.item() == -1.5 - 2j
