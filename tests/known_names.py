"""What a document may name: keys and options of the configuration, and classes."""

from __future__ import annotations

import inspect
from functools import cache

import lightning.pytorch
import torch
import yaml
from torch import nn

from cvtrain.config.schema import Config
from tests.documented_tables import CONF, ROOT

HYDRA_KEYS = {"hydra.mode", "hydra.sweep.dir", "hydra.run.dir", "hydra.sweeper.search"}


def leaves(content: object, prefix: str) -> set[str]:
    """Dotted keys of a nested mapping, of every depth."""
    if not isinstance(content, dict):
        return set()
    names = set()
    for key, value in content.items():
        name = f"{prefix}{key}"
        names |= {name, *leaves(value, f"{name}.")}
    return names


@cache
def known_options() -> dict[str, set[str]]:
    """The options of each group; Hydra's own launcher among them."""
    groups: dict[str, set[str]] = {}
    for path in CONF.rglob("*.yaml"):
        if path.parent != CONF:
            groups.setdefault(str(path.parent.relative_to(CONF)), set()).add(path.stem)
    groups["hydra/launcher"].add("basic")
    return groups


@cache
def known_keys() -> set[str]:
    """Every key that some combination of options has."""
    keys = set(Config.model_fields) | HYDRA_KEYS
    keys |= leaves(yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8")), "")
    for group, names in known_options().items():
        for name in names:
            path = CONF / group / f"{name}.yaml"
            if group != "experiment" and path.exists():
                content = yaml.safe_load(path.read_text(encoding="utf-8"))
                keys |= leaves(content, f"{group.replace('/', '.')}.")
    taken = inspect.signature(lightning.pytorch.Trainer).parameters
    return keys | {f"trainer.{name}" for name in taken}


@cache
def _sources() -> str:
    return "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "cvtrain").rglob("*.py"))


def known_symbol(name: str) -> bool:
    """Whether a class of this name is in cvtrain, torch or Lightning."""
    places = (torch, nn, nn.parallel, torch.optim, lightning.pytorch)
    return f"class {name}" in _sources() or any(hasattr(holder, name) for holder in places)
