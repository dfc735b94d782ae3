"""A command in a message, pasted into a shell."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cvtrain.config.compose import as_override, parse_override
from cvtrain.process.printed_command import cvtrain_command, printed_command

PRINTS_ITS_ARGUMENTS = "import json, sys; print(json.dumps(sys.argv[1:]))"
NAMES = [
    *("plain", "my runs/a (b)", "0_optimizer=sgd,seed=0", "a[/b]", "[bold]", "$HOME `id` $(id)"),
    *(
        "it's",
        'a "b"',
        "a\\b\\",
        "a;b&c|d",
        "~",
        "!x",
        "*",
        "{a,b}",
        "ünï ℂ",
        "#1",
        "a\nb\x1b[2J'\\",
    ),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_passes_every_word_as_it_is(name):
    line = printed_command(sys.executable, "-c", PRINTS_ITS_ARGUMENTS, name, f"--to={name}")
    assert "\n" not in line
    assert "\x1b" not in line
    ended = subprocess.run(["bash", "-c", line], capture_output=True, check=True, text=True)
    assert json.loads(ended.stdout) == [name, f"--to={name}"]


@pytest.mark.parametrize("name", NAMES)
def test_hydra_reads_back_the_value_of_an_override(name):
    assert parse_override(as_override("start_from", name)).value() == name


def test_a_command_of_ours_reads_as_one_would_type_it():
    assert cvtrain_command("resume=latest") == "python -m cvtrain resume=latest"
    assert cvtrain_command("report", "a b") == "python -m cvtrain report 'a b'"
