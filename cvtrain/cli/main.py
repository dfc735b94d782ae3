"""The entry point: `python -m cvtrain`, the installed `cvtrain`, and `scripts/cvtrain`.

The first word chooses a command (`report`, `tensorboard`, …). Without one it is `train`: the words
are overrides of Hydra, and runs are trained.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from cvtrain.process.exit_status import STOPPED, STOPPED_AND_KEPT, end_process

COMMANDS = ("convert", "evaluate", "inspect", "report", "reproduce", "tensorboard", "train")
"""Modules of `cvtrain.cli`; each has a `main`, and a `run` that raises errors."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (None: the process's own).

    Returns:
        the exit status: 0, 1 (failed), 2 (bad input), 130 or 143 (Ctrl-C, SIGTERM), 141 (nobody
            reads the output any more).
    """
    name, rest = _chosen(sys.argv[1:] if arguments is None else arguments)
    status: int = import_module(f"cvtrain.cli.{name}").main(rest)
    return status


def console() -> NoReturn:
    """Entry point of the `cvtrain` command."""
    name, rest = _chosen(sys.argv[1:])

    def command() -> int:
        # Imported only now: it takes seconds, in which a signal may come, and each command imports
        # only what it needs.
        status: int = import_module(f"cvtrain.cli.{name}").run(rest)
        return status

    if name == "train":
        end_process("cvtrain", command, STOPPED_AND_KEPT)
    end_process(f"cvtrain {name}", command, STOPPED)


def _chosen(words: Sequence[str]) -> tuple[str, list[str]]:
    """The module of `cvtrain.cli` that is requested, and its arguments."""
    if words and words[0] in COMMANDS:
        return words[0], list(words[1:])
    return "train", list(words)
