"""The experiments: a module of this folder each, named like its file in conf/experiment.

A module says what its experiment adds to its YAML in a constant ``EXPERIMENT``; a YAML alone is an
experiment too, on whose runs the report on learning rates is made. Nothing lists the modules, so a
new one needs no other file. They are imported on use, since composing a configuration must not
wait for pandas.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from omegaconf import DictConfig, OmegaConf

from cvtrain import experiments
from cvtrain.config import compose
from cvtrain.process.errors import InputError

if TYPE_CHECKING:
    from cvtrain.analysis.load import Sweep
    from cvtrain.report.document import Document

Report: TypeAlias = "Callable[[Sweep], Document]"


@dataclass(frozen=True)
class Experiment:
    """What an experiment has beside its YAML.

    Attributes:
        report: makes its report; None: the report on learning rates is made.
        variants: lists of overrides, each of which is trained at every combination of the YAML's
            axes; the YAML asks for them with ``hydra.sweeper.variants: ${variants:NAME}``.
        quick: overrides that make it take seconds in `python -m cvtrain reproduce --quick`; None:
            it is not part of that suite.
    """

    report: Report | None = None
    variants: Callable[[], list[list[str]]] | None = None
    quick: tuple[str, ...] | None = None


def experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        InputError: no module of that name defines one.
    """
    found = getattr(module_of(name), "EXPERIMENT", None)
    if not isinstance(found, Experiment):
        raise InputError(f"{name}: should be an experiment, one of {', '.join(names())}")
    return found


def module_of(name: str) -> ModuleType | None:
    """The module of the experiment `name`; None where this folder has no such file."""
    path = f"{experiments.__name__}.{name}"
    # The name may come from a file: it chooses among the modules of this folder, and no others.
    return import_module(path) if name.isidentifier() and find_spec(path) else None


def names() -> list[str]:
    """The experiments that have a module, `sweep` first, since it asks the question of all."""
    modules = (module.name for module in pkgutil.iter_modules(experiments.__path__))
    found = [name for name in modules if hasattr(module_of(name), "EXPERIMENT")]
    return sorted(found, key=lambda name: (name != "sweep", name))


def suite() -> dict[str, tuple[str, ...]]:
    """The experiments that `python -m cvtrain reproduce` runs, with the overrides of its quick
    form."""
    found = {name: experiment(name).quick for name in names()}
    return {name: quick for name, quick in found.items() if quick is not None}


def check_analysis(name: str | None) -> None:
    """Refuse a value of the configuration's key `analysis` that names no report.

    Raises:
        InputError: with the experiments that have a report of their own.
    """
    if name is None:
        return
    found = getattr(module_of(name), "EXPERIMENT", None)
    if found is None or found.report is None:
        reports = [each for each in names() if experiment(each).report is not None]
        raise InputError(f"analysis={name}: should be one of {', '.join(reports)}")


def _variants(name: str) -> Any:
    variants = experiment(name).variants
    if variants is None:
        raise InputError(f"{name}: this experiment has no variants")
    return OmegaConf.create(variants())


def _stability_limit(*, _root_: DictConfig) -> float:
    from cvtrain.experiments.linear_problem import KEYS, stability_limit

    settings = {key: OmegaConf.select(_root_, key, default=KEYS[key]) for key in KEYS}
    return stability_limit(settings | {"data": OmegaConf.to_container(_root_.data, resolve=True)})


RESOLVERS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {**compose.RESOLVERS, "variants": _variants, "stability_limit": _stability_limit}
)
"""The functions that conf/ uses, those of experiments included.

- ``${variants:NAME}``: the variants of an experiment
- ``${stability_limit:}``: `cvtrain.experiments.linear_problem.stability_limit` of the
  configuration
"""


def register(*, replace: bool = True) -> None:
    """Make `RESOLVERS` known to OmegaConf, instead of others of these names where `replace`."""
    compose.register_resolvers(RESOLVERS, replace=replace)


# Whoever imports this into an application of Hydra's keeps resolvers of the same names.
register(replace=False)
