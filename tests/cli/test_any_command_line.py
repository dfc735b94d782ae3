"""Whatever is typed ends in a plan or in a few lines on what is wrong; nothing is made or run.

The words are keys of cvtrain, of Hydra and of every command, and values that a number, a parser, an
interpolation or a file system may stumble over.
"""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from cvtrain.cli import main

LINES = 5000
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
FLAGS = (
    *("--help", "--hydra-help", "--info", "--cfg", "--resolve", "--package", "-sc", "--version"),
    *("--config-dir", "--config-name", "-cp", "--run", "--nosuch", "all", "job", "query=bash"),
)
FOLDERS = ("nosuch", ".", "/etc", "/etc/passwd", "", "${seed}", "ü")
TOOLS = {
    "convert": (
        *("--from", "--to", "wirtinger", "pytorch", "jax", "adam", "sgd", "muon", "lr=1", "lr=nan"),
        *("eps=1e-8", "clip.norm=1", "clip.eps=0", "betas=[0.9,0.9]", "betas=1", "x=1", "--mixed"),
        *("weight_decay=0.1", "amsgrad=true", "--from-loss-scale", "0.5", "lr=" + "9" * 5000),
    ),
    "evaluate": (*FOLDERS, "--split", "test", "--checkpoint", "best", "--trust", "os", "--help"),
    "report": (*FOLDERS, "--folder", "--tables", "--help"),
    "tensorboard": (*FOLDERS, "--port", "-1", "99999", "x", "--help"),
    # A name that is no experiment: the others would be trained.
    "reproduce": ("nosuch", "--folder", "--nosuch", "sweep"),
}
WHOLE = ["convert", "--from", "wirtinger", "--to", "pytorch", "adam"]


@pytest.fixture(scope="module")
def keys() -> list[str]:
    """Every key of the default configuration, groups and inner nodes included."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert main.main(["--cfg", "all"]) == 0
    names = list(_keys(yaml.safe_load(shown.getvalue())))
    assert {"optimizer.lr", "data.seed", "hydra.run.dir", "hydra.job_logging.version"} <= set(names)
    # They would decide here what is trained; the tests of `resume` say what of it is taken.
    decisive = ("plan", "resume", "debug")
    own = [key for key in names if key not in decisive and not key.startswith("hydra")]
    return [*own * 3, *(key for key in names if key.startswith("hydra"))]


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


def command_line(draw: random.Random, keys: list[str]) -> list[str]:
    """The words of a command line that trains nothing."""
    kind = draw.random()
    if kind < 0.1:
        tool = draw.choice(sorted(TOOLS))
        words = draw.choices(TOOLS[tool], k=draw.randrange(5))
        if tool == "reproduce":
            words.insert(0, "nosuch")
        return [*(WHOLE if tool == "convert" and draw.random() < 0.7 else [tool]), *words]
    line = ["plan=true", *(drawn(draw, keys) for _ in range(draw.choice((1, 1, 1, 2, 3))))]
    if kind < 0.2:
        line += draw.choices(FLAGS, k=draw.choice((1, 2)))
    return [*line, *(["-m"] * (draw.random() < 0.3))]


def test_any_command_line_ends_in_a_plan_or_in_a_few_lines(
    tmp_path, monkeypatch, capsys, keys, share
):
    monkeypatch.chdir(tmp_path)
    draw = random.Random(0)
    statuses = []
    for _ in range(share(LINES, 60)):
        line = command_line(draw, keys)
        capsys.readouterr()
        try:
            status = main.main(line)
        except SystemExit as ended:  # argparse's --help
            status = ended.code
        out, err = capsys.readouterr()
        lines = [text for text in err.splitlines() if "cvtrain: checking" not in text]
        assert status in (0, 1, 2), (line, err)
        assert "Traceback" not in out + err, (line, err)
        assert list(tmp_path.iterdir()) == [], line
        if status == 2:
            shown = [text for text in lines if not text.startswith(("usage: ", " "))]
            assert 1 <= len(shown) <= 4, (line, err)
            assert "cvtrain" in shown[0], (line, err)
        statuses.append(status)
    assert {0, 2} <= set(statuses)
