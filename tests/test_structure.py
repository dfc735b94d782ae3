"""The folders are the pipeline: imports run one way, in no circle, and light parts stay light."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import cvtrain
from cvtrain.process.environment import numeric_environment

PACKAGE = Path(cvtrain.__file__).parent
FLOORS = [
    "process",
    "config",
    "gradients",
    "theory",
    "data",
    "models",
    "optim",
    "laws",
    "runs",
    "training",
    "analysis",
    "report",
    "experiments",
    "sweeps",
    "cli",
    "api",
    "__main__",
]
"""From the ground up: a room imports what stands before it, and itself."""
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def imported(path: Path) -> set[str]:
    """Modules of the package that a file names in its imports, those for type checkers included."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cvtrain":
            base = str(node.module).removeprefix("cvtrain").removeprefix(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}".strip(".")
                imported.add(whole if whole in MODULES else base)
    return imported - {""}


IMPORTS = {name: imported(path) - {name} for name, path in MODULES.items() if name != "__init__"}


def test_every_module_stands_in_a_room():
    assert {name.partition(".")[0] for name in IMPORTS} == set(FLOORS)


def test_no_import_runs_up():
    upward = [
        f"{name} -> {other}"
        for name, others in IMPORTS.items()
        for other in others
        if FLOORS.index(other.partition(".")[0]) > FLOORS.index(name.partition(".")[0])
    ]
    assert not upward


def test_no_modules_import_each_other_in_a_circle():
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(str(error))


HEAVY = ("torch", "lightning", "pandas", "hydra", "matplotlib")
ALONE = {
    "cvtrain": HEAVY,
    "cvtrain.cli": HEAVY,
    "cvtrain.theory": ("torch", "lightning", "pandas", "hydra"),
    "cvtrain.config.compose": ("torch", "lightning", "pandas"),
    "cvtrain.config.schema": ("torch", "lightning", "pandas"),
    "cvtrain.config.targets": ("torch", "lightning", "pandas"),
    "cvtrain.cli.train": ("torch", "lightning", "pandas"),
}
"""Modules, and what their import does not bring."""
BESIDE_TORCH = {
    "cvtrain.gradients.convention": ("cvtrain.optim", "lightning", "hydra"),
    "cvtrain.gradients.clipping": ("cvtrain.optim", "lightning", "hydra"),
    "cvtrain.gradients.transform": ("cvtrain.optim", "lightning", "hydra"),
    "cvtrain.gradients.losses": ("cvtrain.optim", "cvtrain.data", "lightning", "hydra"),
    "cvtrain.optim": ("lightning", "hydra", "pandas"),
    "cvtrain.models": ("lightning", "hydra", "pandas"),
    "cvtrain.data": ("lightning", "hydra", "pandas"),
    "cvtrain.laws": ("lightning", "hydra", "pandas"),
    "cvtrain.analysis.verdict": ("lightning", "hydra", "matplotlib"),
    "cvtrain.training.monitor": (),
}
"""The same of modules that need torch."""
IMPORTS_EACH = """
import importlib, json, os, sys
first, modules, variables = json.loads(sys.argv[1])
for name in first:
    importlib.import_module(name)
for module in modules:
    if os.fork() == 0:
        importlib.import_module(module)
        print(json.dumps([list(sys.modules), [v for v in variables if v in os.environ]]))
        sys.stdout.flush()
        os._exit(0)
    assert os.wait()[1] == 0
"""


@pytest.mark.parametrize(
    ("first", "modules"), [((), ALONE), (("torch", "numpy"), BESIDE_TORCH)], ids=["alone", "torch"]
)
def test_an_import_brings_nothing_heavy_and_only_commands_set_variables(first, modules):
    variables = list(numeric_environment())
    environment = {name: text for name, text in os.environ.items() if name not in variables}
    program = [sys.executable, "-c", IMPORTS_EACH, json.dumps([first, list(modules), variables])]
    ended = subprocess.run(program, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    for module, line in zip(modules, ended.stdout.splitlines(), strict=True):
        brought, set_variables = json.loads(line)
        assert module in brought
        assert not set(brought) & set(modules[module]), module
        assert set_variables == (variables if module.startswith("cvtrain.cli") else []), module
