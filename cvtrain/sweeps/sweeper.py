"""A sweep from its command line to its summary: plan → check → launch → report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.utils import JobReturn

from cvtrain.process.errors import InputError
from cvtrain.sweeps.plan import Plan
from cvtrain.sweeps.progress import SweepProgress
from cvtrain.sweeps.resume import resumption
from cvtrain.sweeps.session import SweepSession


def run_sweep(
    session: SweepSession,
    overrides: Sequence[str],
    variants: Sequence[Sequence[str]] = (),
    fewer: Sequence[Mapping[str, Mapping[str, Any]]] = (),
) -> Sequence[JobReturn]:
    """Train every point given by `overrides`, through any of Hydra's launchers.

    Args:
        session: session of this command.
        overrides: the experiment's axes, then those of the command line.
        variants: lists of overrides that are added to the combinations, one list at a time.
        fewer: rules that leave out points; see `cvtrain.sweeps.fewer_points`.

    Returns:
        one job return per point.

    Raises:
        InputError: a point is wrong; nothing has been trained or made.
        RunFailed: everything that could be trained was, and some runs failed or a claim of the
            experiment does not hold; or the directory cannot be written any more.
        Interrupted: a signal came; the finished runs are kept.
    """
    points = Plan.compose(session.composer, overrides, variants, fewer).points
    config = points[0].config
    if config.report.decide and config.analysis is not None:
        raise InputError(
            f"report.decide=true: should be false with analysis={config.analysis}, whose report has"
            " no arms that more seeds would answer"
        )
    session.expect(points)
    session.check(points)
    if config.plan:
        session.show_plan(points)
        return []
    with session.workers_begun(), session.locked(config.resume) as journal:
        lines = [f"{len(points)} runs into {journal.root}"]
        waiting, others = points, tuple[Mapping[str, Any], ...]()
        looks: Mapping[str, int] = {}
        if config.resume is not None:
            resumed = resumption(journal, points)
            points, waiting, others = resumed.points, resumed.waiting, resumed.left_out
            lines += resumed.notes
            looks = resumed.looks
        session.announce(journal, lines, session.tasks)
        session.describe(journal, points, overrides, others, looks)
        returned: Sequence[JobReturn] = []
        with session.reporting(journal, points), SweepProgress(journal, waiting, session.console):
            # All points, although some have ended: the stacks are then formed as before, and with
            # them the engine and the bits of the waiting runs.
            if waiting:
                returned = session.launch(journal, points)
        return returned
