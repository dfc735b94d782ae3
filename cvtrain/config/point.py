"""A point of a sweep: a resolved configuration and the name of its run directory."""

from __future__ import annotations

from dataclasses import dataclass

from cvtrain.config.schema import Config


@dataclass(frozen=True)
class Point:
    """One fully resolved configuration.

    Attributes:
        number: position in the sweep, from 0.
        config: the resolved, checked configuration.
        overrides: command-line overrides; composing them gives `config`.
        directory: name of the run directory inside the sweep directory.
    """

    number: int
    config: Config
    overrides: tuple[str, ...]
    directory: str

    @property
    def id(self) -> str:
        """Hash of everything that affects the run's numbers (`Config.identity`)."""
        return self.config.identity
