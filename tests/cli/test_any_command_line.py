"""Whatever is typed ends in a plan or in a few lines on what is wrong; nothing is made or run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

LINES = 2000
GROUPS = ("optimizer", "data", "model", "objective", "convention", "scheduler", "clip", "trainer")
OPTIONS = (
    *("sgd", "adam", "rmsprop", "lion", "lbfgs", "digits_fft", "system_id", "equalizer", "linear"),
    *("mlp", "widely_linear", "cross_entropy", "complex_mse", "wirtinger", "jax", "cosine", "norm"),
    *("modulus", "none", "custom", "default", "Sgd", "no/such", "../sgd", "sgd.yaml"),
)
EXPERIMENTS = ("article", "conjugation", "lms", "sweep", "swep", "../config", "[sweep,lms]")
NUMBERS = (
    *("0", "1", "2", "-1", "0.5", "1e-3", "1e400", "-0.0", "1e-400", "nan", "-inf", ".5", "0x10"),
    *("007", "1_000", "9" * 40, "64", "complex64", "complex128", "true", "False", "null", "~"),
)
TEXTS = (
    *("", "''", '"', "'", "a b", "ü", "名", "a=b", "a,b", "a,,b", ",", "[1", "[1,2]", "{a:1}", "{"),
    *("[[1],[2]]", "[0.9,0.99]", "[nan,1]", "${seed}", "${no.such}", "${oc.env:HOME}", "${", "$"),
    *("${oc.decode:1}", "${seed:}", "???", "range(0,3)", "range(3,0)", "range(1,2,0)", "choice(1)"),
    *("interval(0,1)", "glob(*)", "shuffle(1,2)", "sort(2,1)", "tag(a,1)", "int(1.5)", "float(x)"),
    *("extend_list(1)", "\\", "\\,", "\x00", "\t", "\n", "\x1b[31m", "a" * 5000, "/etc/passwd"),
    *("../..", "-m", "--", "#", "!!python/object/apply:os.system [true]", "&a [*a]", "os.system"),
    *(
        "subprocess.Popen",
        "torch.nn.Linear",
        "torch.optim.SGD",
        "builtins.eval",
        "cvtrain.cli.train",
    ),
    *("cvtrain.models.mlp.Mlp", "posixpath.join", "__main__.x", ".", "a..b", "1.2.3"),
)
PREFIXES = ("", "", "", "", "+", "++", "~", "~+", "-", "@")


@pytest.fixture(scope="module")
def keys() -> list[str]:
    """Every key of the default configuration, groups and inner nodes included."""
    import contextlib
    import io

    from cvtrain.cli.train import main

    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert main(["--cfg", "job"]) == 0
    names = list(_keys(yaml.safe_load(shown.getvalue())))
    assert {"optimizer.lr", "data.seed", "signals.scalars_every"} <= set(names)
    # It would decide here what is trained; the tests of `resume` say what of it is taken.
    return [key for key in names if key not in ("plan", "resume")]


def _keys(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")


def drawn(draw: random.Random, keys: list[str]) -> str:
    """One override, valid or not."""
    kind = draw.random()
    if kind < 0.2:
        return f"{draw.choice(GROUPS)}={draw.choice(OPTIONS)}"
    if kind < 0.25:
        return f"{draw.choice(('+', '', '++'))}experiment={draw.choice(EXPERIMENTS)}"
    if kind < 0.3:
        return draw.choice((*TEXTS, *keys))
    key = draw.choice(keys)
    if draw.random() < 0.1:
        position = draw.randrange(len(key))
        key = key[:position] + draw.choice("x._@:=/[ é") + key[position + 1 :]
    values = [draw.choice(draw.choice((NUMBERS, NUMBERS, TEXTS)))]
    while draw.random() < 0.15:
        values.append(draw.choice(draw.choice((NUMBERS, TEXTS))))
    return f"{draw.choice(PREFIXES)}{key}={','.join(values)}"


def test_any_command_line_ends_in_a_plan_or_in_a_few_lines(command, keys, share):
    draw = random.Random(0)
    statuses = []
    for _ in range(share(LINES)):
        line = [drawn(draw, keys) for _ in range(draw.choice((1, 1, 1, 2, 3)))]
        line += ["-m"] * (draw.random() < 0.3)
        outcome = command("plan=true", *line)
        lines = [text for text in outcome.err.splitlines() if "cvtrain: checking" not in text]
        assert outcome.status in (0, 2), (line, outcome.err)
        assert "Traceback" not in outcome.out + outcome.err, (line, outcome.err)
        assert outcome.made == [], line
        if outcome.status == 2:
            assert 1 <= len(lines) <= 4, (line, outcome.err)
            assert lines[0].startswith("cvtrain: "), (line, outcome.err)
        statuses.append(outcome.status)
    assert {0, 2} == set(statuses)
