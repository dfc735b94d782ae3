"""A configured linear regression in the notation of `cvtrain.theory`, and its stability limit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from cvtrain import theory
from cvtrain.config.sections import TargetConfig
from cvtrain.data.dataset import Dataset
from cvtrain.data.load import build_dataset
from cvtrain.data.split import in_memory
from cvtrain.process.errors import InputError
from cvtrain.theory.moments import ComplexArray

LINEAR = "cvtrain.models.linear.Linear"
WIDELY_LINEAR = "cvtrain.models.widely_linear.WidelyLinear"
WEIGHTS = {LINEAR: ("weight",), WIDELY_LINEAR: ("weight", "conjugate_weight")}
"""The parameters that make up w, in the order of the columns of X."""

KEYS = {
    "data": None,
    "dtype": None,
    "batch_size": None,
    "model._target_": None,
    "model.bias": False,
    "objective.loss": "complex_mse",
    "objective.scale": 1.0,
    "convention.scale": 1.0,
    "convention.conjugate": False,
    "optimizer._target_": "torch.optim.SGD",
    "optimizer.semantics": "split",
    "optimizer.momentum": 0.0,
    "optimizer.dampening": 0.0,
    "optimizer.weight_decay": 0.0,
    "optimizer.nesterov": False,
    "clip.kind": "none",
    "scheduler.kind": "constant",
}
"""The keys that affect the limit of the learning rate, with their default values."""

FIXED = (
    *("model.bias", "objective.loss", "convention.conjugate", "optimizer._target_"),
    *("optimizer.semantics", "optimizer.dampening", "optimizer.weight_decay"),
    *("clip.kind", "scheduler.kind"),
)
"""The keys for which closed forms allow only the default value."""


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """The training split as a least-squares problem mean|y − Xw|², in the notation of
    `cvtrain.theory`.

    Attributes:
        covariance: R `[M, M]`.
        pseudo_covariance: P `[M, M]`.
        optimum: w° `[M]`, the minimizer over the split.
        least: J_min, the loss at w°.
    """

    covariance: ComplexArray
    pseudo_covariance: ComplexArray
    optimum: ComplexArray
    least: float

    @classmethod
    def of(cls, dataset: Dataset, *, widely_linear: bool) -> LinearProblem:
        """The problem of a regression with one output; with `widely_linear` X is [x, x*].

        Raises:
            InputError: the data are not a regression, or have several outputs.
        """
        if dataset.task != "regression" or dataset.out_features != 1:
            raise InputError("data: closed forms are known for a regression with one output")
        train = in_memory(dataset.train)
        x = train.each_input[0].flatten(1).numpy().astype(np.complex128)
        y = train.targets[:, 0].numpy().astype(np.complex128)
        if widely_linear:
            x = np.concatenate([x, x.conj()], axis=1)
        optimum: ComplexArray = np.linalg.lstsq(x, y, rcond=None)[0].astype(np.complex128)
        least = float(np.mean(np.abs(y - x @ optimum) ** 2))
        return cls(*theory.sample_moments(x), optimum, least)


def linear_problem(settings: Mapping[str, Any]) -> LinearProblem:
    """The problem that is trained with these values of `KEYS`.

    Raises:
        InputError: no closed forms are known for it.
    """
    wanted = {key: settings[key] for key in ("data", "dtype", "model._target_")}
    return _linear_problem(json.dumps(wanted, sort_keys=True))


@lru_cache(maxsize=8)
def _linear_problem(key: str) -> LinearProblem:
    settings = json.loads(key)
    if settings["model._target_"] not in WEIGHTS:
        raise InputError(
            f"model._target_={settings['model._target_']}: closed forms are known for model=linear"
            " and model=widely_linear"
        )
    slot = TargetConfig.model_validate(settings["data"])
    dataset = build_dataset(slot, settings["dtype"])
    return LinearProblem.of(dataset, widely_linear=settings["model._target_"] == WIDELY_LINEAR)


def stability_limit(settings: Mapping[str, Any]) -> float:
    """The learning rate below which the configured training converges: of gradient descent with or
    without momentum on the full batch; on minibatches of LMS in mean square, for independent
    samples.

    Args:
        settings: values of `KEYS`.

    Raises:
        InputError: no limit is known for such a training.
    """
    for key in FIXED:
        if settings[key] != KEYS[key]:
            raise InputError(f"{key}={settings[key]}: a limit is known for {KEYS[key]} only")
    return _stability_limit(json.dumps({key: settings[key] for key in KEYS}, sort_keys=True))


@lru_cache(maxsize=64)
def _stability_limit(key: str) -> float:
    settings = json.loads(key)
    problem = linear_problem(settings)
    factor = settings["objective.scale"] * settings["convention.scale"]
    momentum, nesterov = settings["optimizer.momentum"], settings["optimizer.nesterov"]
    if settings["batch_size"] is None:
        return theory.gd_stability_limit(
            problem.covariance, momentum=momentum, nesterov=nesterov, gradient_factor=factor
        )
    if momentum:
        raise InputError(
            f"optimizer.momentum={momentum}: on minibatches a limit is known for 0 only"
        )
    return theory.lms_mean_square_limit(
        problem.covariance,
        pseudo_covariance=problem.pseudo_covariance,
        batch=settings["batch_size"],
        gradient_factor=factor,
    )
