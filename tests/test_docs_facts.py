"""What README.md and docs/ say of the code is so: tables, names, keys, counts."""

from __future__ import annotations

import importlib
import re
import tomllib
from contextlib import suppress
from typing import get_args

import pytest
import torch

from cvtrain.analysis.answer import Kind
from cvtrain.config.schema import Config
from cvtrain.data.equalizer import equalizer
from cvtrain.data.speckle import speckle
from cvtrain.training.metrics import metrics_of
from tests.documented_tables import (
    CONF,
    PLACE,
    ROOT,
    TABLES,
    experiment_header,
    options,
    written_again,
)
from tests.documents import TEXTS, quoted
from tests.known_names import known_keys, known_options, known_symbol

README = TEXTS["README.md"]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
READERS_OWN = {"MyNet", "NAME", "antenna", "mine"}
"""Names that stand for those of the reader."""


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_is_that_of_the_code(name):
    (page,) = [p for p, text in TEXTS.items() if f"<!-- table: {name} -->" in text]
    shown = {match[2]: match[3] for match in PLACE.finditer(TEXTS[page])}
    made = {match[2]: match[3] for match in PLACE.finditer(written_again(TEXTS[page]))}
    assert shown[name] == made[name], "python tests/documented_tables.py writes it again"


def exists(word: str) -> bool | None:
    """Whether a word in backticks names something; None where it does not look like a name."""
    keys, settable = known_keys(), known_options()
    if re.search(r"\(|\.(md|json|csv)$|^weights_only=", word) and "/" not in word:
        return None  # a call, an argument of one, or a file that a run writes
    if re.match(r"(cvtrain|conf|docs|tests|scripts|hydra_plugins)/", word):
        return "NAME" in word or (ROOT / word).exists()
    if match := re.fullmatch(r"[+~]?([a-z_]+(?:[./][a-z_]+)*)=(\S+)", word):
        key, value = match[1], match[2]
        if key in settable:
            return set(value.split(",")) <= settable[key] | READERS_OWN
        return key in keys
    if re.fullmatch(r"cvtrain(\.\w+)+", word):
        return importable(word)
    if re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+", word):
        section = word.split(".")[0]
        return word in keys if section in {key.split(".")[0] for key in keys} else None
    if re.fullmatch(r"[A-Z]\w*[a-z]\w*[A-Z]\w*", word):
        return word in READERS_OWN or known_symbol(word)
    return None


def importable(path: str) -> bool:
    """Whether a dotted path is a module, or an attribute of one."""
    module, _, name = path.rpartition(".")
    with suppress(ModuleNotFoundError):
        return bool(importlib.import_module(path))
    return hasattr(importlib.import_module(module), name)


def test_names_in_backticks_exist():
    words = [(page, word) for page, text in quoted() for word in text.split()]
    looked_up = {(page, word): exists(word) for page, word in words}
    assert sum(known is not None for known in looked_up.values()) > 100
    assert [word_of_page for word_of_page, known in looked_up.items() if known is False] == []


def test_overrides_in_the_headers_of_experiments_exist():
    keys, settable = known_keys(), known_options()
    for name in options("experiment"):
        for text in experiment_header(name).values():
            for key, value in re.findall(r"(?<![\w|])([a-z_]+(?:\.[a-z_]+)*)=(\S+)", text):
                if key in settable:
                    assert value.rstrip(",;)") in settable[key] | READERS_OWN, (name, key, value)
                else:
                    assert key in keys, (name, key)


def test_the_overview_of_experiments_is_whole():
    text = TEXTS["docs/experiments.md"]
    overview = text[text.index("| experiment |") : text.index("<!-- table")]
    named = re.findall(r"\[`(\w+)`\]\(#(\w+)\)", overview)
    assert sorted(name for name, _ in named) == sorted(options("experiment"))
    assert all(name == anchor for name, anchor in named)


def test_the_table_of_keys_is_whole():
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    shown = {key.split(".")[0] for key in re.findall(r"^\| `([\w.]+)`", TABLES["keys"](), re.M)}
    assert shown == set(Config.model_fields) - groups


def test_the_readme_is_short_and_counts_right():
    assert len(README.encode()) <= 9000
    assert f"{len(options('experiment'))} ready ones" in README
    own = {"arrays", "custom", "folders"}  # the reader's
    assert f"{len(set(options('data')) - own)} data sets" in README
    assert f"{len(options('model')) - 1} networks" in README  # `custom` is the reader's own
    assert f"{len(options('optimizer')) - 1} optimizers" in README


def test_the_folders_of_the_architecture_are_those_that_there_are():
    text = TEXTS["docs/architecture.md"]
    shown = set(re.findall(r"^\| `([\w/]+)/` \|", text, re.MULTILINE))
    packages = {f"cvtrain/{p.parent.name}" for p in (ROOT / "cvtrain").glob("*/__init__.py")}
    assert shown == packages | {"conf", "docs", "hydra_plugins", "scripts", "tests"}


def test_the_answers_of_a_report_are_explained():
    explained = re.findall(r"^- \*\*([^*]+)\*\*: ", TEXTS["docs/results.md"], re.MULTILINE)
    assert set(get_args(Kind)) <= set(explained)


def test_the_metrics_are_those_that_are_measured():
    sizes = {"train_samples": 4, "validation_samples": 4, "test_samples": 4}
    tiny = [equalizer(**sizes, dtype=torch.complex64), speckle(**sizes, dtype=torch.complex64)]
    text = TEXTS["docs/tasks.md"].split("## Metrics")[1]
    shown = {
        name
        for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert shown == {name for dataset in tiny for name in metrics_of(dataset)}


def test_the_source_distribution_has_the_documents():
    included = PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"/docs", "/README.md", "/conf", "/tests"} <= set(included)
