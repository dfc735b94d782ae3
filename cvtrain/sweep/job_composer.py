"""The configurations that Hydra's launchers compose for their jobs, in a tenth of the time."""

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
"""Keys of Hydra's own that differ from job to job and choose no file."""


class JobComposer:
    """Does what ``ConfigLoader.load_sweep_config`` does: jobs that are made of the same files share
    one composition, and get their values by Hydra's own function.

    Args:
        loader: Hydra's.
        master: the configuration of the multirun.

    Attributes:
        given: what the command line says of Hydra's own keys.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader, self._master = loader, master
        self._composer = Composer(loader, master.hydra.job.config_name)
        self._compositions: dict[tuple[str, ...], DictConfig] = {}
        given = OmegaConf.to_container(master.hydra.overrides.hydra)
        assert isinstance(given, list)
        self.given = given

    def compose(self, overrides: Sequence[str], number: int) -> DictConfig:
        """The configuration of job `number`, Hydra's node included."""
        parsed, choices, values = self.split(overrides)
        config = copy.deepcopy(self.composition(choices))
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        task = [override for override in parsed if not override.is_hydra_override()]
        hydra = [override for override in parsed if override.is_hydra_override()]
        naming = config.hydra.job.config.override_dirname
        with open_dict(config.hydra):
            config.hydra.overrides.task = [override.input_line for override in task]
            config.hydra.overrides.hydra = [*self.given, *(o.input_line for o in hydra)]
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
        """Overrides parsed: all of them, those that choose files, and those that set values."""
        parsed = [parse_override(text) for text in overrides]
        choices = [override for override in parsed if self._chooses_files(override)]
        return parsed, choices, [override for override in parsed if override not in choices]

    def composition(self, choices: Sequence[Override]) -> DictConfig:
        """What jobs with these choices have in common; they do not change it."""
        lines = tuple(override.input_line or "" for override in choices)
        if lines not in self._compositions:
            self._compositions[lines] = self._loader.load_sweep_config(self._master, list(lines))
        return self._compositions[lines]

    def _chooses_files(self, override: Override) -> bool:
        if override.is_hydra_override():
            return override.key_or_group not in PLACES
        return bool(self._composer.options(override.key_or_group))
