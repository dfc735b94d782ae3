"""Hydra without `hydra.main`: its command-line flags, search path and global state."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hydra import version as hydra_version
from hydra._internal.utils import create_config_search_path, get_args_parser

from cvtrain.config.compose import configuration_folder
from cvtrain.process.errors import InputError
from cvtrain.process.regular_file import is_directory
from cvtrain.runs.safe_names import resolved

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra

VERSION_BASE = "1.3"


def parse_arguments(arguments: list[str]) -> Namespace:
    """Parse Hydra's flags; `overrides` holds the other words.

    Raises:
        InputError: a flag is unknown to Hydra, or lacks its value.
    """
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise InputError(f"{message}; see --help")

    parser.error = refuse  # type: ignore[method-assign]  # argparse would print its usage and exit
    return parser.parse_intermixed_args(arguments)


def start_hydra(args: Namespace) -> Hydra:
    """Hydra in the state of a new process, with the folders of configuration files that the flags
    name.

    Raises:
        InputError: a folder does not exist.
    """
    from hydra._internal.hydra import Hydra
    from hydra.core.global_hydra import GlobalHydra

    # Hydra has one global state; a second command in one process starts with a new one.
    GlobalHydra.instance().clear()
    hydra_version.setbase(VERSION_BASE)
    path = create_config_search_path(args.config_path or configuration_folder())
    if args.config_dir is not None:
        from hydra.core.config_search_path import SearchPathQuery

        extra = resolved(Path(args.config_dir))
        if not is_directory(extra):
            raise InputError(f"--config-dir {args.config_dir}: should be an existing directory")
        path.prepend("command-line", f"file://{extra}", SearchPathQuery("schema"))
    return Hydra.create_main_hydra2("cvtrain", path)
