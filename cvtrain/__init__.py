"""Training experiments for complex-valued neural networks: what the factor 2 in w.grad changes.

cvtrain.configure("+experiment=article")   a checked configuration, from command-line overrides
cvtrain.train(config, output="outputs")    one run, as `cvtrain` makes it
cvtrain.sweep("+experiment=sweep")         a sweep, as `cvtrain … -m` makes it, and its answer
cvtrain.load("outputs/sweep/…")            a sweep's runs and curves as pandas tables
cvtrain.inspect(network, x, y, loss)       which convention its gradients have, and what is wrong
cvtrain.GradientMonitor(…)                 the signals, for any LightningModule
cvtrain.GradientConvention(scale=0.5)      ∂L/∂w* in place of w.grad, for any LightningModule
cvtrain.StackedModule(…)                   K networks of your own, trained as one
cvtrain.schedule("cosine", max_steps, …)   a factor on the learning rate for each step
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cvtrain.process.environment import set_environment

if TYPE_CHECKING:
    from cvtrain.analysis.inspection import inspect
    from cvtrain.analysis.load import load
    from cvtrain.api import configure, sweep, train
    from cvtrain.training.gradient_convention import GradientConvention
    from cvtrain.training.monitor import GradientMonitor
    from cvtrain.training.schedule import schedule
    from cvtrain.training.stacked_module import StackedModule

__all__ = [
    "GradientConvention",
    "GradientMonitor",
    "StackedModule",
    "configure",
    "inspect",
    "load",
    "schedule",
    "sweep",
    "train",
]

_HOMES = {
    "GradientConvention": "cvtrain.training.gradient_convention",
    "GradientMonitor": "cvtrain.training.monitor",
    "StackedModule": "cvtrain.training.stacked_module",
    "configure": "cvtrain.api",
    "inspect": "cvtrain.analysis.inspection",
    "load": "cvtrain.analysis.load",
    "schedule": "cvtrain.training.schedule",
    "sweep": "cvtrain.api",
    "train": "cvtrain.api",
}


def __getattr__(name: str) -> Any:
    # Looked up on first use: `--help` must not pay for torch and Lightning.
    if name not in _HOMES:
        raise AttributeError(f"module cvtrain has no {name}")
    if _HOMES[name] == "cvtrain.api":
        set_environment()  # as the command does, and before torch is loaded
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*__all__, "__doc__", "__file__", "__name__", "__path__"})
