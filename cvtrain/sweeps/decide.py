"""A sweep that adds seeds by itself until all of its arms have an answer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from hydra.core.utils import JobReturn
from omegaconf import DictConfig, OmegaConf

from cvtrain.config.overrides import parse_override


def run_until_decided(
    config: DictConfig,
    typed: Sequence[str],
    run: Callable[[Sequence[str]], tuple[Sequence[JobReturn], tuple[str, ...]]],
) -> Sequence[JobReturn]:
    """Run a sweep. With ``report.decide=true`` resume it with the overrides that its report
    suggests, until the report suggests none. Each look at the answers spends a part of the error
    (`cvtrain.analysis.looks`).

    Args:
        config: Hydra's configuration of the sweep; the overrides that it records are updated to
            those that are run.
        typed: overrides of the command line.
        run: function that trains the sweep given by overrides and reports on it; it returns Hydra's
            job returns, and the overrides that should lead to an answer.

    Returns:
        one job return per point of the last sweep.
    """
    while True:
        returns, more = run(typed)
        if not more or not config.report.decide:
            return returns
        print(f"cvtrain: going on with {' '.join(more[1:])} (report.decide)", file=sys.stderr)
        keys = {parse_override(text).key_or_group for text in more}
        typed = [*(t for t in typed if parse_override(t).key_or_group not in keys), *more]
        recorded = OmegaConf.to_container(config.hydra.overrides.task)  # ${seed} as typed
        overrides = list(map(str, recorded)) if isinstance(recorded, list) else []
        config.hydra.overrides.task = [
            *(t for t in overrides if parse_override(t).key_or_group not in keys),
            *more,
        ]
