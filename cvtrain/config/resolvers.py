"""Functions that the files of conf/ use in interpolations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from omegaconf import OmegaConf


def _learning_rate(reference: float, octave: float) -> float:
    return float(reference * 2.0**octave)


RESOLVERS: Mapping[str, Callable[..., Any]] = MappingProxyType({"learning_rate": _learning_rate})
"""Functions for interpolations in conf/, without those of experiments
(`cvtrain.experiments.registry`).

``${learning_rate:reference_lr,lr_octave}`` is reference_lr · 2^lr_octave.
"""


def register_resolvers(
    resolvers: Mapping[str, Callable[..., Any]], *, replace: bool = True
) -> None:
    """Register functions with OmegaConf under their names; with `replace`, in place of existing
    ones."""
    for name, function in resolvers.items():
        if replace or not OmegaConf.has_resolver(name):
            OmegaConf.register_new_resolver(name, function, replace=True)


# A Hydra application that imports this module keeps its own resolvers of the same names.
register_resolvers(RESOLVERS, replace=False)
