"""Trainings in JAX with optax, reproduced in PyTorch from their hyperparameters (extra `jax`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cvtrain.laws import convert
from cvtrain.laws.conversion import sides
from cvtrain.laws.table import optimizer_class

jax = pytest.importorskip("jax", reason="needs the extra jax")
optax = pytest.importorskip("optax", reason="needs the extra jax")
jnp = jax.numpy

SAMPLES, BATCH, STEPS = 96, 16, 60
GENERATOR = np.random.default_rng(0)


def normal(*shape):
    return GENERATOR.normal(size=shape) + 1j * GENERATOR.normal(size=shape)


X, Y = normal(SAMPLES, 5), normal(SAMPLES, 2)
WEIGHTS = [0.4 * normal(5, 4), 0.4 * normal(4, 2)]

REPRODUCED = {
    "sgd": (lambda: optax.sgd(0.05), "sgd", {"lr": 0.05}),
    "momentum": (
        lambda: optax.sgd(0.02, momentum=0.9, nesterov=True),
        "sgd_momentum",
        {"lr": 0.02, "momentum": 0.9, "nesterov": True},
    ),
    "adam": (lambda: optax.adam(0.01, eps=1e-3), "adam", {"lr": 0.01, "eps": 1e-3}),
    "adamw": (
        lambda: optax.adamw(0.01, eps=1e-3, weight_decay=0.1),
        "adamw",
        {"lr": 0.01, "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adamax": (lambda: optax.adamax(0.01, eps=1e-3), "adamax", {"lr": 0.01, "eps": 1e-3}),
    "rmsprop": (
        lambda: optax.rmsprop(0.01, decay=0.99, eps=0.1, eps_in_sqrt=False, centered=True),
        "rmsprop",
        {"lr": 0.01, "eps": 0.1, "centered": True},
    ),
    "lion": (
        lambda: optax.lion(0.002, weight_decay=0.1),
        "lion",
        {"lr": 0.002, "betas": (0.9, 0.99), "weight_decay": 0.1},
    ),
    "signsgd": (lambda: optax.sign_sgd(0.002), "signsgd", {"lr": 0.002}),
}
DIFFERENT = {
    "amsgrad": (lambda: optax.amsgrad(0.01, eps=1e-3), "amsgrad", {"lr": 0.01, "eps": 1e-3}),
    "nadam": (lambda: optax.nadam(0.01, eps=1e-3), "nadam", {"lr": 0.01, "eps": 1e-3}),
    "radam": (lambda: optax.radam(0.01, eps=1e-3), "radam", {"lr": 0.01, "eps": 1e-3}),
    "adadelta": (lambda: optax.adadelta(1.0, eps=1e-4), "adadelta", {"lr": 1.0, "eps": 1e-4}),
    "adagrad": (lambda: optax.adagrad(0.05, eps=1e-3), "adagrad", {"lr": 0.05, "eps": 1e-3}),
    "rmsprop": (
        lambda: optax.rmsprop(0.01, decay=0.99, eps=1e-3),
        "rmsprop",
        {"lr": 0.01, "eps": 1e-3},
    ),
}


def network(weights, inputs, absolute):
    """Two layers with a cardioid between them (Virtue et al. 2017), in either framework."""
    hidden = inputs @ weights[0]
    return (0.5 * (1 + hidden.real / absolute(hidden)) * hidden) @ weights[1]


def batches():
    for step in range(STEPS):
        yield slice(step * BATCH % SAMPLES, step * BATCH % SAMPLES + BATCH)


def trained_by_optax(optimizer):
    """With half of the mean squared error, and gradients conjugated as JAX's documentation says."""
    with jax.enable_x64(True):

        def loss(weights, x, y):
            return 0.5 * jnp.mean(jnp.abs(network(weights, x, jnp.abs) - y) ** 2)

        weights = [jnp.asarray(w) for w in WEIGHTS]
        state = optimizer.init(weights)
        for chosen in batches():
            gradients = jax.grad(loss)(weights, X[chosen], Y[chosen])
            conjugated = jax.tree.map(jnp.conj, gradients)
            updates, state = optimizer.update(conjugated, state, weights)
            weights = optax.apply_updates(weights, updates)
        return [np.asarray(w) for w in weights]


def trained_by_torch(conversion):
    """With the whole mean squared error, and the converted hyperparameters."""
    weights = [torch.tensor(w, requires_grad=True) for w in WEIGHTS]
    kind = optimizer_class(conversion.optimizer)
    optimizer = kind(weights, **conversion.values, semantics=conversion.semantics)
    x, y = torch.tensor(X), torch.tensor(Y)
    for chosen in batches():
        optimizer.zero_grad()
        error = network(weights, x[chosen], torch.abs) - y[chosen]
        error.abs().square().mean().backward()
        optimizer.step()
    return [w.detach().numpy() for w in weights]


def apart(cases, name):
    optimizer, ours, hyperparameters = cases[name]
    conversion = convert(ours, hyperparameters, *sides("jax", "pytorch", 0.5, 1.0))
    pairs = zip(trained_by_optax(optimizer()), trained_by_torch(conversion), strict=True)
    return conversion, max(np.abs(a - b).max() / np.abs(a).max() for a, b in pairs)


@pytest.mark.parametrize("name", REPRODUCED)
def test_optax_is_reproduced_from_its_hyperparameters(name):
    conversion, difference = apart(REPRODUCED, name)
    assert not conversion.obstacles
    assert difference < 1e-6


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_rule_that_is_told_to_differ_does(name):
    conversion, difference = apart(DIFFERENT, name)
    assert any(line.startswith("jax: ") for line in conversion.differences)
    assert not conversion.exact
    assert difference > 1e-6
