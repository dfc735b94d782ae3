"""Information that Hydra prints instead of training: `--help`, `--cfg`, `--info`, tab
completion."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO

from hydra._internal.utils import get_args_parser

from cvtrain.cli.hydra_application import start_hydra
from cvtrain.config.compose import CONFIG_NAME, Composer
from cvtrain.config.overrides import composition_errors_explained, parse_override, quoted
from cvtrain.process.errors import InputError, describe_error
from cvtrain.process.plain_text import cvtrain_command

SHELLS = ("bash", "fish", "zsh")
COMPLETED_LINE = "COMP_LINE"
"""Environment variable in which a shell passes the words typed so far."""


def inform(args: Namespace) -> None:
    """Print what `--help`, `--cfg`, `--info`, `--hydra-help` or a completion requests, by Hydra
    itself.

    Raises:
        InputError: the requested information does not exist.
    """
    hydra, config_name = start_hydra(args), args.config_name or CONFIG_NAME
    composer = Composer(hydra.config_loader, config_name)
    if args.shell_completion:
        _check_completion(args.overrides)
    elif args.overrides:
        args.overrides = composer.with_added_arguments(args.overrides)
        for text in args.overrides:
            if parse_override(text).is_sweep_override():
                raise InputError(f"{text}: should have one value where a configuration is shown")
        composer.assemble(args.overrides)
    name = quoted(cvtrain_command())
    parser, output = get_args_parser(), StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(StringIO()), composition_errors_explained():
            if args.help:
                args.overrides = [f"hydra.help.app_name={name}", *args.overrides]
                hydra.app_help(config_name, parser, args)
            elif args.hydra_help:
                hydra.hydra_help(config_name, parser, args)
            elif args.cfg:
                options = args.cfg, args.package, args.resolve
                hydra.show_cfg(config_name, args.overrides, *options)
            elif args.info:
                hydra.show_info(args.info, config_name, args.overrides)
            else:
                with _started_by_name():
                    hydra.shell_completion(config_name, args.overrides)
    except SystemExit:
        raise InputError(
            f"--package {args.package}: should be a key of the configuration"
        ) from None
    except (ValueError, TypeError, AttributeError, AssertionError) as error:
        if isinstance(error, InputError):
            raise
        # The messages of Python's logging, which Hydra configures first.
        raise InputError(f"{' '.join(args.overrides)}: {describe_error(error)}") from error
    finally:
        # At once, since Hydra prints a traceback if its output is closed before its end.
        print(output.getvalue(), end="")  # discarded if stdout is closed


@contextmanager
def _started_by_name() -> Iterator[None]:
    """Context in which Hydra takes this process for the installed ``cvtrain``.

    It registers completion for the program in `sys.argv`; with scripts/cvtrain that would be
    ``python``. A shell completes a program by the last part of its path, so this also works for
    ``scripts/cvtrain``.
    """
    before = sys.argv
    sys.argv = ["cvtrain", *before[1:]]
    try:
        yield
    finally:
        sys.argv = before


def _check_completion(words: Sequence[str]) -> None:
    key, _, shell = words[0].partition("=") if len(words) == 1 else ("", "", "")
    if key not in ("install", "uninstall", "query") or shell not in SHELLS:
        wanted = " or ".join(f"install={name}" for name in SHELLS)
        raise InputError(f"--shell-completion {' '.join(words)}: should be with {wanted}")
    if key == "query" and COMPLETED_LINE not in os.environ:
        raise InputError(
            f"--shell-completion {words[0]}: is called by the shell, with {COMPLETED_LINE} set;"
            f" should be with install={shell}"
        )
