"""The registry of experiments: modules of this folder, named like their files in conf/experiment.

A module defines an experiment by its constant ``EXPERIMENT``; a module without it is a helper of
experiments. An experiment needs no module: the runs of a YAML alone get the report on learning
rates. Modules are discovered, so a new one is registered in no other file. They are imported on
use, since composing a configuration should not wait for pandas.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from omegaconf import DictConfig, OmegaConf

from cvtrain import experiments
from cvtrain.config import resolvers
from cvtrain.process.errors import InputError

if TYPE_CHECKING:
    from cvtrain.analysis.load import Sweep
    from cvtrain.experiments.claims import Claim
    from cvtrain.report.document import Document

Report: TypeAlias = "Callable[[Sweep], Document]"


@dataclass(frozen=True)
class Experiment:
    """The parts of an experiment that its YAML cannot hold.

    Attributes:
        report: function that makes its report from a sweep; None: the report on learning rates.
        variants: function that returns lists of overrides, each of which is trained at every
            combination of the YAML's axes; the YAML refers to them by ``hydra.sweeper.variants:
            ${variants:NAME}``.
        quick: overrides with which it takes seconds in `cvtrain reproduce --quick`; None: that
            form leaves it out.
        claims: claims of the experiment, for the table at the end of `cvtrain reproduce`.
        files: files of measured data that it reads, with or without ``.gz``, relative to the
            working directory; the suite leaves it out where one of them is missing.
    """

    report: Report | None = None
    variants: Callable[[], list[list[str]]] | None = None
    quick: tuple[str, ...] | None = None
    claims: tuple[Claim, ...] = ()
    files: tuple[str, ...] = ()


def variants_override(variants: Sequence[Sequence[str]]) -> str:
    """The override that trains these variants, lists of overrides, in place of an experiment's."""
    lists = (",".join(json.dumps(override) for override in variant) for variant in variants)
    return f"hydra.sweeper.variants=[{','.join(f'[{texts}]' for texts in lists)}]"


def experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        InputError: no module of this name defines an experiment.
    """
    defined = getattr(module_of(name), "EXPERIMENT", None)
    if not isinstance(defined, Experiment):
        raise InputError(f"{name}: should be an experiment, one of {', '.join(names())}")
    return defined


def module_of(name: str) -> ModuleType | None:
    """The module of the experiment `name`; None if this folder has no such file."""
    path = f"{experiments.__name__}.{name}"
    # The name may come from a file, so it may only choose among the modules of this folder.
    return import_module(path) if name.isidentifier() and find_spec(path) else None


def names() -> list[str]:
    """The names of experiments that have a module: `sweep` first, then in alphabetic order."""
    modules = (module.name for module in pkgutil.iter_modules(experiments.__path__))
    defined = [name for name in modules if hasattr(module_of(name), "EXPERIMENT")]
    return sorted(defined, key=lambda name: (name != "sweep", name))


def suite() -> dict[str, Experiment]:
    """The experiments that `cvtrain reproduce` runs: those with claims or a quick form."""
    defined = {name: experiment(name) for name in names()}
    return {name: one for name, one in defined.items() if one.claims or one.quick is not None}


def check_analysis(name: str | None) -> None:
    """Check a value of the configuration's key `analysis`.

    Raises:
        InputError: no experiment of this name has a report of its own; the message lists those that
            do.
    """
    if name is None:
        return
    defined = getattr(module_of(name), "EXPERIMENT", None)
    if defined is None or defined.report is None:
        reports = [known for known in names() if experiment(known).report is not None]
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
    {**resolvers.RESOLVERS, "variants": _variants, "stability_limit": _stability_limit}
)
"""The resolvers that conf/ uses, including those of experiments.

- ``${variants:NAME}``: the variants of an experiment
- ``${stability_limit:}``: the largest stable learning rate of the configuration, from
  `cvtrain.experiments.linear_problem.stability_limit`
"""


def register(*, replace: bool = True) -> None:
    """Register `RESOLVERS` with OmegaConf; with `replace`, in place of existing ones of these
    names."""
    resolvers.register_resolvers(RESOLVERS, replace=replace)


# A Hydra application that imports this module keeps its own resolvers of the same names.
register(replace=False)
