"""Compose the configurations of Hydra's launchers for their jobs, in a tenth of the time."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from cvtrain.config.compose import Composer
from cvtrain.config.overrides import parse_override

PLACES = ("hydra.sweep.dir", "hydra.sweep.subdir")
"""Keys of Hydra that differ from job to job and choose no file."""


def sweep_composer(loader: ConfigLoader, master: DictConfig) -> Composer:
    """The composer of a sweep's points, with the values of Hydra's own keys in `master`, the
    configuration of the multirun."""
    hydra_overrides = OmegaConf.to_container(master.hydra.overrides.hydra)
    assert isinstance(hydra_overrides, list)
    return Composer(loader, master.hydra.job.config_name, list(map(str, hydra_overrides)))


class JobComposer:
    """Does what ``ConfigLoader.load_sweep_config`` does: jobs with the same files share a
    composition, in which Hydra's own function sets their values.

    Args:
        composer: composer of the sweep, from `sweep_composer`.
        master: configuration of the multirun.
    """

    def __init__(self, composer: Composer, master: DictConfig) -> None:
        self._composer, self._master = composer, master
        self.hydra_overrides = composer.hydra_overrides

    def compose(self, overrides: Sequence[str], number: int) -> DictConfig:
        """The configuration of job `number`, with Hydra's node."""
        parsed, choices, values = self.split(overrides)
        config = copy.deepcopy(self.composition(choices))
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        task = [override for override in parsed if not override.is_hydra_override()]
        hydra = [override for override in parsed if override.is_hydra_override()]
        naming = config.hydra.job.config.override_dirname
        with open_dict(config.hydra):
            config.hydra.overrides.task = [override.input_line for override in task]
            config.hydra.overrides.hydra = [*self.hydra_overrides, *(o.input_line for o in hydra)]
            config.hydra.job.override_dirname = get_overrides_dirname(
                overrides=task,
                kv_sep=naming.kv_sep,
                item_sep=naming.item_sep,
                exclude_keys=naming.exclude_keys,
            )
            config.hydra.job.id = number
            config.hydra.job.num = number
        return config

    def split(
        self, overrides: Sequence[str]
    ) -> tuple[list[Override], list[Override], list[Override]]:
        """Parse overrides; return all of them, those that choose files, and those that set
        values."""
        parsed = [parse_override(text) for text in overrides]
        choices = [override for override in parsed if self._chooses_files(override)]
        return parsed, choices, [override for override in parsed if override not in choices]

    def composition(self, choices: Sequence[Override]) -> DictConfig:
        """The common part of jobs with these choices; callers must not change it."""
        lines = tuple(override.input_line or "" for override in choices)
        config = self._composer.composition(lines)
        # As Hydra does, so that every job resolves ``${now:}`` to the same time.
        OmegaConf.copy_cache(from_config=self._master, to_config=config)
        return config

    def _chooses_files(self, override: Override) -> bool:
        if override.is_hydra_override():
            return override.key_or_group not in PLACES
        return bool(self._composer.options(override.key_or_group))
