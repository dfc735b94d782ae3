"""Hydra's compositions of conf/, each made once in this process and in those forked from it.

Most tests of commands take the same files with other values; reading and merging these takes
Hydra 0.1 s of each command, four times. Values are still set by Hydra, in a copy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore

from cvtrain.config.compose import configuration_folder

Key = tuple[Any, ...]


def compose_once() -> None:
    """Remember, from now on, what Hydra makes of a choice of files where all are of conf/."""
    lists: dict[Key, Any] = {}
    compositions: dict[Key, Any] = {}
    list_files: Callable[..., Any] = config_loader_impl.create_defaults_list
    merge_files = ConfigLoaderImpl._compose_config_from_defaults_list

    def listed_once(repo: Any, config_name: Any, overrides_list: Any, **options: bool) -> Any:
        groups = [o for o in overrides_list if repo.group_exists(o.key_or_group)]
        sources = _fixed_sources(repo)
        if sources is None or any(isinstance(o.value(), dict) for o in groups):
            return list_files(repo, config_name, overrides_list, **options)
        # Those that are swept choose nothing.
        chosen = [o for o in groups if not o.is_sweep_override()]
        lines = tuple(o.input_line for o in chosen)
        key = (sources, config_name, lines, *options.items())
        if key not in lists:
            lists[key] = list_files(repo, config_name, chosen, **options)
        made = copy.copy(lists[key])
        made.config_overrides = [
            o for o in overrides_list if not o.is_sweep_override() and o not in groups
        ]
        return made

    def merged_once(self: ConfigLoaderImpl, defaults: Any, repo: Any) -> Any:
        sources = _fixed_sources(repo)
        if sources is None:
            return merge_files(self, defaults, repo)
        key = (sources, repr(defaults))
        if key not in compositions:
            compositions[key] = merge_files(self, defaults, repo)
        return copy.deepcopy(compositions[key])

    config_loader_impl.create_defaults_list = listed_once
    ConfigLoaderImpl._compose_config_from_defaults_list = merged_once  # type: ignore[method-assign]


def _fixed_sources(repo: Any) -> Key | None:
    """Where files come from; None where others than the repository's own are among them."""
    own = configuration_folder()
    places = tuple((source.scheme(), source.path) for source in repo.get_sources())
    if any(scheme == "file" and path != own for scheme, path in places):
        return None
    return (*places, len(ConfigStore.instance().repo))
