"""`modulus` against NumPy in complex arithmetic, and what turning the plane does to a rule."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
import torch

from cvtrain import optim
from cvtrain.optim.semantics import RealView

STEPS = 30
SHAPE = (5, 3)


def sgn(z):
    size = np.abs(z)
    return np.divide(z, size, out=np.zeros_like(z), where=size > 0)


def square(z):
    return (z * z.conj()).real


class Reference:
    """What the papers write, for complex arrays, one step after another."""

    def __init__(self, w):
        self.w, self.m, self.v, self.t = w, np.zeros_like(w), np.zeros(w.shape), 0
        self.u, self.pi, self.largest = np.zeros(w.shape), 1.0, np.zeros(w.shape)
        self.b, self.p, self.s = np.zeros_like(w), np.zeros_like(w), None

    def moments(self, g, betas):
        self.t += 1
        self.m = betas[0] * self.m + (1 - betas[0]) * g
        self.v = betas[1] * self.v + (1 - betas[1]) * square(g)
        return 1 - betas[0] ** self.t, 1 - betas[1] ** self.t

    def adam(self, g, lr=0.1, betas=(0.9, 0.999), eps=1e-8, wd=0.0, amsgrad=False):
        g = g + wd * self.w
        first, second = self.moments(g, betas)
        self.largest = np.maximum(self.largest, self.v)
        v = self.largest if amsgrad else self.v
        self.w = self.w - lr * (self.m / first) / (np.sqrt(v / second) + eps)

    def adamw(self, g):
        self.w = self.w * (1 - 0.1 * 0.3)
        self.adam(g)

    def nadam(self, g, lr=0.1, betas=(0.9, 0.99), eps=1e-3, decay=0.1):
        _, second = self.moments(g, betas)
        mu, ahead = (betas[0] * (1 - 0.5 * 0.96 ** (at * decay)) for at in (self.t, self.t + 1))
        self.pi *= mu
        direction = (1 - mu) / (1 - self.pi) * g + ahead / (1 - self.pi * ahead) * self.m
        self.w = self.w - lr * direction / (np.sqrt(self.v / second) + eps)

    def radam(self, g, lr=0.1, betas=(0.8, 0.9), eps=1e-3):
        first, second = self.moments(g, betas)
        longest = 2 / (1 - betas[1]) - 1
        length = longest - 2 * self.t * betas[1] ** self.t / second
        d = self.m / first
        if length > 5:
            over, under = (length - 4) * (length - 2), (longest - 4) * (longest - 2)
            q = math.sqrt(over * longest / (under * length))
            d = d * q * math.sqrt(second) / (np.sqrt(self.v) + eps)
        self.w = self.w - lr * d

    def adamax(self, g, lr=0.1, betas=(0.9, 0.99), eps=1e-3):
        first, _ = self.moments(g, betas)
        self.u = np.maximum(betas[1] * self.u, np.abs(g) + eps)
        self.w = self.w - lr / first * self.m / self.u

    def rmsprop(self, g, lr=0.1, alpha=0.9, eps=1e-3, mu=0.5):
        self.v = alpha * self.v + (1 - alpha) * square(g)
        self.m = alpha * self.m + (1 - alpha) * g
        self.b = mu * self.b + g / (np.sqrt(self.v - square(self.m)) + eps)
        self.w = self.w - lr * self.b

    def adagrad(self, g, lr=0.1, eps=1e-3, start=0.3, decay=0.1):
        self.v = self.v + square(g) + (start if self.t == 0 else 0)
        self.w = self.w - lr / (1 + self.t * decay) * g / (np.sqrt(self.v) + eps)
        self.t += 1

    def adadelta(self, g, lr=0.5, rho=0.9, eps=1e-3):
        self.v = rho * self.v + (1 - rho) * square(g)
        d = np.sqrt(self.u + eps) / np.sqrt(self.v + eps) * g
        self.u = rho * self.u + (1 - rho) * square(d)
        self.w = self.w - lr * d

    def rprop(self, g, lr=0.1):
        self.s = np.full(g.shape, lr) if self.s is None else self.s
        side = (g * self.p.conj()).real
        self.s = np.clip(self.s * np.where(side > 0, 1.2, np.where(side < 0, 0.5, 1)), 1e-6, 50)
        self.p = np.where(side < 0, 0, g)
        self.w = self.w - self.s * sgn(self.p)

    def lion(self, g, lr=0.1, betas=(0.9, 0.99), wd=0.2):
        d = sgn(betas[0] * self.m + (1 - betas[0]) * g)
        self.w = (1 - lr * wd) * self.w - lr * d
        self.m = betas[1] * self.m + (1 - betas[1]) * g

    def signsgd(self, g):
        self.w = self.w - 0.1 * sgn(g)

    def signum(self, g, lr=0.1, mu=0.9):
        self.m = mu * self.m + (1 - mu) * g
        self.w = self.w - lr * sgn(self.m)

    def sgd(self, g, lr=0.1, mu=0.9, wd=0.1):
        self.b = mu * self.b + g + wd * self.w
        self.w = self.w - lr * self.b

    def asgd(self, g, lr=0.1, lambd=0.1, alpha=0.75):
        eta = lr / (1 + lambd * lr * self.t) ** alpha
        self.t += 1
        self.w = (1 - lambd * eta) * self.w - eta * g

    def muon(self, g, lr=0.1, mu=0.9, wd=0.1, nesterov=True):
        self.b = mu * self.b + (1 - mu) * g
        m = mu * self.b + (1 - mu) * g if nesterov else self.b
        left, values, right = np.linalg.svd(m, full_matrices=False)
        # Newton and Schulz's iteration acts on the singular values alone.
        x = values / np.sqrt((values**2).sum())
        for _ in range(5):
            x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
        u = (left * x) @ right
        self.w = self.w * (1 - lr * wd) - lr * math.sqrt(max(1, SHAPE[0] / SHAPE[1])) * u


CASES = {
    "adam": (optim.Adam, {"lr": 0.1}),
    "amsgrad": (optim.Adam, {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1, "eps": 0.01}),
    "adamw": (optim.AdamW, {"lr": 0.1, "weight_decay": 0.3}),
    "nadam": (optim.NAdam, {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-3, "momentum_decay": 0.1}),
    "radam": (optim.RAdam, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3}),
    "adamax": (optim.Adamax, {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-3}),
    "rmsprop": (
        optim.RMSprop,
        {"lr": 0.1, "alpha": 0.9, "eps": 1e-3, "momentum": 0.5, "centered": True},
    ),
    "adagrad": (
        optim.Adagrad,
        {"lr": 0.1, "eps": 1e-3, "initial_accumulator_value": 0.3, "lr_decay": 0.1},
    ),
    "adadelta": (optim.Adadelta, {"lr": 0.5, "eps": 1e-3}),
    "rprop": (optim.Rprop, {"lr": 0.1}),
    "lion": (optim.Lion, {"lr": 0.1, "weight_decay": 0.2}),
    "signsgd": (optim.SignSGD, {"lr": 0.1}),
    "signum": (optim.SignSGD, {"lr": 0.1, "momentum": 0.9}),
    "sgd": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    "asgd": (optim.ASGD, {"lr": 0.1, "lambd": 0.1}),
    "muon": (optim.Muon, {"lr": 0.1, "momentum": 0.9}),
    "muon_plain": (optim.Muon, {"lr": 0.1, "momentum": 0.9, "nesterov": False}),
}
REFERENCES = {
    **{
        name: (lambda r, g, name=name: getattr(r, name)(g))
        for name in CASES
        if hasattr(Reference, name)
    },
    "amsgrad": lambda r, g: r.adam(g, wd=0.1, eps=0.01, amsgrad=True),
    "muon_plain": lambda r, g: r.muon(g, nesterov=False),
}
TURNING = {"sgd", "asgd"}
"""Rules that turn with the plane under either semantics, being linear."""


def normal(generator):
    return torch.randn(SHAPE, dtype=torch.complex128, generator=generator)


@pytest.mark.parametrize("name", CASES)
def test_modulus_has_the_numbers_of_complex_arithmetic(name):
    optimizer, hyperparameters = CASES[name]
    generator = torch.Generator().manual_seed(0)
    w = normal(generator).requires_grad_()
    reference = Reference(w.detach().numpy().copy())
    made = optimizer([w], **hyperparameters, semantics="modulus")
    target = normal(generator)
    for _ in range(STEPS):
        # A gradient with noise, which turns now and then.
        w.grad = (w.detach() - target) + 0.3 * normal(generator)
        REFERENCES[name](reference, w.grad.numpy())
        made.step()
    # torch keeps some rates in float32.
    tolerance = 1e-6 if name in ("asgd", "nadam") else 1e-11
    np.testing.assert_allclose(w.detach().numpy(), reference.w, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_a_real_parameter_has_one_semantics(name):
    optimizer, hyperparameters = CASES[name]
    ended = []
    for semantics in ("split", "modulus"):
        generator = torch.Generator().manual_seed(0)
        w = torch.randn(SHAPE, generator=generator).requires_grad_()
        made = optimizer([w], **hyperparameters, semantics=semantics)
        for _ in range(STEPS):
            w.grad = torch.randn(SHAPE, generator=generator)
            made.step()
        ended.append(w.detach())
    assert torch.equal(*ended)


def turned(name: str, semantics: str, angle: float) -> float:
    """How far training in a plane turned by `angle` ends from turning where training ends."""
    optimizer, hyperparameters = CASES[name]
    ended = []
    turn = {math.pi / 2: 1j}.get(angle, cmath.exp(1j * angle))
    for factor in (1.0, turn):
        generator = torch.Generator().manual_seed(0)
        w = (factor * normal(generator)).requires_grad_()
        made = optimizer([w], **hyperparameters, semantics=semantics)
        target = normal(generator)
        for _ in range(STEPS):
            noise = normal(generator)
            w.grad = (w.detach() - factor * target) + factor * 0.3 * noise
            made.step()
        ended.append(w.detach())
    return float((ended[1] - turn * ended[0]).abs().max() / ended[0].abs().max())


@pytest.mark.parametrize("name", CASES)
def test_modulus_turns_with_the_plane(name):
    assert turned(name, "modulus", 0.7) < 1e-12
    # A product of complex matrices adds its four real ones in an order of its own.
    assert turned(name, "modulus", math.pi / 2) <= (1e-13 if "muon" in name else 0)


@pytest.mark.parametrize("name", CASES)
def test_split_turns_with_the_plane_by_right_angles_alone(name):
    assert turned(name, "split", math.pi / 2) <= (1e-13 if "muon" in name else 0)
    assert (turned(name, "split", 0.7) < 1e-12) == (name in TURNING)


@pytest.mark.parametrize(
    ("optimizer", "semantics", "step"),
    [
        (optim.SGD, "split", -3 - 4j),
        (optim.SGD, "modulus", -3 - 4j),
        (optim.Adam, "split", -1 - 1j),
        (optim.Adam, "modulus", -0.6 - 0.8j),
        (optim.AdamW, "modulus", -0.6 - 0.8j),
        (optim.NAdam, "modulus", None),
        (optim.Adamax, "modulus", -0.6 - 0.8j),
        (optim.Adagrad, "split", -1 - 1j),
        (optim.Adagrad, "modulus", -0.6 - 0.8j),
        (optim.SignSGD, "split", -1 - 1j),
        (optim.SignSGD, "modulus", -0.6 - 0.8j),
        (optim.Lion, "modulus", -0.6 - 0.8j),
        (optim.Rprop, "split", -1 - 1j),
        (optim.Rprop, "modulus", -0.6 - 0.8j),
        (optim.Muon, "modulus", None),
    ],
)
def test_the_first_step_for_3_plus_4i(optimizer, semantics, step):
    w = torch.zeros(1, 1, dtype=torch.complex128, requires_grad=True)
    w.grad = torch.tensor([[3 + 4j]], dtype=torch.complex128)
    optimizer([w], lr=1.0, semantics=semantics).step()
    direction = w.detach() / w.detach().abs() if step is None else w.detach()
    expected = -0.6 - 0.8j if step is None else step
    torch.testing.assert_close(direction, torch.tensor([[expected]], dtype=torch.complex128))


def test_isotropic_steps_of_split_are_the_root_of_2_times_longer():
    lengths = []
    for semantics in ("split", "modulus"):
        generator = torch.Generator().manual_seed(0)
        w = torch.zeros(4000, dtype=torch.complex128, requires_grad=True)
        made = optim.Adam([w], lr=1.0, betas=(0.9, 0.999), semantics=semantics)
        for _ in range(200):
            before = w.detach().clone()
            w.grad = torch.randn(4000, dtype=torch.complex128, generator=generator)
            made.step()
        lengths.append(float((w.detach() - before).abs().square().mean().sqrt()))
    assert lengths[0] / lengths[1] == pytest.approx(math.sqrt(2), rel=0.01)


def test_the_modulus_neither_overflows_nor_underflows():
    size = 1e-30, 1e30
    for scale in size:
        w = torch.zeros(1, dtype=torch.complex64, requires_grad=True)
        w.grad = torch.tensor([complex(3 * scale, -4 * scale)], dtype=torch.complex64)
        optim.SignSGD([w], lr=1.0, semantics="modulus").step()
        torch.testing.assert_close(w.detach(), torch.tensor([-0.6 + 0.8j]))
    assert torch.tensor(size[1]).square().isinf()


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4), (5,), ()])
def test_muon_makes_a_matrix_nearly_unitary(shape):
    generator = torch.Generator().manual_seed(0)
    w = torch.zeros(shape, dtype=torch.complex128, requires_grad=True)
    w.grad = torch.randn(shape, dtype=torch.complex128, generator=generator)
    optim.Muon([w], lr=1.0, flatten=True).step()
    step = w.detach().reshape(shape[0] if shape else 1, -1)
    adjusted = step / math.sqrt(max(1.0, step.shape[0] / step.shape[1]))
    values = torch.linalg.svdvals(adjusted)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_muon_of_a_real_matrix_is_torchs_to_its_precision():
    # torch iterates in bfloat16, of 8 bits.
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(6, 4, generator=generator)
    mine, torchs = start.clone().requires_grad_(), start.clone().requires_grad_()
    optimizers = optim.Muon([mine], lr=0.1), torch.optim.Muon([torchs], lr=0.1)
    for _ in range(10):
        g = torch.randn(6, 4, generator=generator)
        mine.grad, torchs.grad = g.clone(), g.clone()
        for optimizer in optimizers:
            optimizer.step()
    moved = (mine - start).abs().max()
    assert (mine - torchs).abs().max() < 0.05 * moved


def test_the_modulus_of_an_infinite_entry_is_infinite():
    inf, nan = math.inf, math.nan
    entries = [(inf, inf), (-inf, inf), (inf, -2), (0, -inf), (nan, 1), (1, nan), (3, -4), (0, 0)]
    z = torch.tensor([entries], dtype=torch.float64)
    moduli = RealView(torch.view_as_complex(z), "modulus").magnitude(z).flatten().tolist()
    assert moduli == pytest.approx([inf, inf, inf, inf, nan, nan, 5, 0], nan_ok=True)


def test_a_variance_that_rounding_would_make_negative_is_0():
    view = RealView(torch.zeros(1, 1, dtype=torch.complex64), "modulus")
    m = torch.view_as_real(torch.tensor([[3 + 4j, 3 + 4j]], dtype=torch.complex64))
    v = torch.tensor([[[24.0], [26.0]]])
    assert view.minus_square(v, m).flatten().tolist() == [0.0, 1.0]


def test_centred_rmsprop_stays_finite_where_the_gradient_does_not_change():
    generator = torch.Generator().manual_seed(0)
    w = torch.zeros(1000, dtype=torch.complex64, requires_grad=True)
    w.grad = torch.randn(1000, dtype=torch.complex64, generator=generator)
    made = optim.RMSprop([w], lr=1e-3, alpha=0.3, eps=1e-3, centered=True, semantics="modulus")
    for _ in range(STEPS):
        made.step()
    assert bool(w.detach().abs().isfinite().all())


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4), (5,)])
def test_the_length_of_muons_steps_follows_the_shape_as_it_is_asked_to(shape):
    rows, columns = shape[0], shape[1] if len(shape) > 1 else 1
    steps = {}
    for adjustment in (None, "original", "match_rms_adamw", "spectral_unclamped"):
        generator = torch.Generator().manual_seed(0)
        w = torch.zeros(shape, dtype=torch.complex128, requires_grad=True)
        w.grad = torch.randn(shape, dtype=torch.complex128, generator=generator)
        optim.Muon([w], lr=1.0, adjust_lr_fn=adjustment, flatten=True).step()
        steps[adjustment] = w.detach()
    assert torch.equal(steps[None], steps["original"])
    ratio = 0.2 * math.sqrt(max(rows, columns)) / math.sqrt(max(1, rows / columns))
    torch.testing.assert_close(steps["match_rms_adamw"], ratio * steps["original"])
    unclamped = min(1, math.sqrt(rows / columns))
    torch.testing.assert_close(steps["spectral_unclamped"], unclamped * steps["original"])


@pytest.mark.parametrize("semantics", ["split", "modulus"])
def test_a_lazily_conjugated_tensor_is_seen_as_what_it_is(semantics):
    z = torch.tensor([[3 - 4j, 1 + 2j]]).conj()
    assert z.is_conj()
    assert RealView(z, semantics).of(z).tolist() == [[[3, 4], [1, -2]]]
