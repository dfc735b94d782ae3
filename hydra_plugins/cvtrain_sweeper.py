"""The sweeper, in the place where Hydra looks for it; `cvtrain.sweeps.sweeper` does the work.

Hydra imports this file at every start, also for `--help`: import nothing heavy here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class CheckedSweeper(BasicSweeper):
    """Composes and checks every point before the first one trains and before a directory is made.

    Args:
        params: axes of the sweep, as strings: ``{"seed": "0,1,2"}``.
        variants: lists of overrides, each of which is trained at every combination of the axes.
        fewer: rules that leave out points; see `cvtrain.sweeps.fewer_points`.
        search: options of `cvtrain.sweeps.search`, with which Optuna chooses the points.
    """

    def __init__(
        self,
        params: dict[str, str] | None = None,
        variants: Sequence[Sequence[str]] | None = None,
        fewer: Sequence[Mapping[str, Mapping[str, Any]]] | None = None,
        search: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(max_batch_size=None, params=params)
        self._variants = [list(variant) for variant in variants or ()]
        self._fewer = fewer if fewer is not None else ()
        self._search = search

    def sweep(self, arguments: list[str]) -> Any:
        """Compose and check all points, train them, and report on them.

        Args:
            arguments: overrides of the command line.
        """
        assert self.hydra_context is not None
        assert self.config is not None
        assert self.launcher is not None
        self._check_params()
        axes = self._parse_config()
        setting = self.hydra_context, self.config, self.launcher
        if self._search is not None:
            from cvtrain.process.optional_dependencies import require_package

            require_package("optuna", "optuna", "hydra.sweeper.search")
            from cvtrain.sweeps.search import run_search
            from cvtrain.sweeps.session import SweepSession

            overrides = [*axes, *arguments]
            return run_search(SweepSession(*setting, kind="trials"), overrides, self._search)
        from cvtrain.sweeps.decide import run_until_decided
        from cvtrain.sweeps.fewer_points import without_typed_axes
        from cvtrain.sweeps.session import SweepSession
        from cvtrain.sweeps.sweeper import run_sweep

        def run(typed: Sequence[str]) -> tuple[Any, tuple[str, ...]]:
            session, fewer = SweepSession(*setting), without_typed_axes(self._fewer, typed)
            returns = run_sweep(session, [*axes, *typed], self._variants, fewer)
            return returns, session.next_overrides

        return run_until_decided(self.config, arguments, run)

    def _check_params(self) -> None:
        from cvtrain.process.errors import InputError

        if not isinstance(self.params, Mapping | None):
            raise InputError(
                f"hydra.sweeper.params={self.params}: should have a text for each key, e.g."
                ' {seed: "0,1"}'
            )
        for key, values in (self.params or {}).items():
            if not isinstance(values, str | int | float):
                raise InputError(
                    f'hydra.sweeper.params.{key}={values}: should be a text such as "0,1"'
                )
