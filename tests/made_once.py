"""What Hydra and Lightning make anew in each command of a process, though it stays the same.

Most tests of commands take the same files of conf/ with other values; reading and merging these
takes Hydra 0.1 s, four times in each command. Here each choice of files is composed once in this
process and in those forked from it; values are still set by Hydra, in a copy. Lightning looks
through all packages for callbacks with each trainer.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import cache
from typing import Any

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from lightning.fabric.utilities import registry

from cvtrain.config.compose import CONFIG_NAME, configuration_folder

Key = tuple[Any, ...]


def make_once() -> None:
    """Remember, from now on, what Hydra makes of a choice of files where all are of conf/, and
    which callbacks the packages bring."""
    registry.entry_points = cache(registry.entry_points)
    lists: dict[Key, Any] = {}
    compositions: dict[Key, bytes] = {}
    list_files: Callable[..., Any] = config_loader_impl.create_defaults_list
    merge_files = ConfigLoaderImpl._compose_config_from_defaults_list
    look_elsewhere = ConfigLoaderImpl._process_config_searchpath

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
            compositions[key] = pickle.dumps(merge_files(self, defaults, repo))
        return pickle.loads(compositions[key])  # OmegaConf's deepcopy takes five times as long

    def looked_elsewhere(self: Any, config_name: Any, parsed_overrides: Any, repo: Any) -> None:
        asked = any(o.get_key_element() == "hydra.searchpath" for o in parsed_overrides)
        # config.yaml itself names no other folder.
        if asked or config_name != CONFIG_NAME or _fixed_sources(repo) is None:
            look_elsewhere(self, config_name, parsed_overrides, repo)

    config_loader_impl.create_defaults_list = listed_once
    ConfigLoaderImpl._process_config_searchpath = looked_elsewhere  # type: ignore[method-assign]
    ConfigLoaderImpl._compose_config_from_defaults_list = merged_once  # type: ignore[method-assign]


def _fixed_sources(repo: Any) -> Key | None:
    """Where files come from; None where others than the repository's own are among them."""
    own = configuration_folder()
    places = tuple((source.scheme(), source.path) for source in repo.get_sources())
    if any(scheme == "file" and path != own for scheme, path in places):
        return None
    return (*places, len(ConfigStore.instance().repo))
