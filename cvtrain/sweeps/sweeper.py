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
    """Train every point that `overrides` mean, through any of Hydra's launchers.

    Args:
        session: of this command.
        overrides: the experiment's axes, then the command line's.
        variants: overrides that come on top, one list after another.
        fewer: rules that leave out points, see `cvtrain.sweeps.fewer_points`.

    Returns:
        one job return per point.

    Raises:
        InputError: a point is wrong; nothing has been trained or made.
        RunFailed: all that could be trained was, and some runs failed, or what the experiment
            claims does not hold; or the directory cannot be written any more.
        Interrupted: a signal came; the finished runs stay.
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
            # All of them, though some have ended: what stacks with what is decided as ever, and
            # with it the engine and the bits of those that wait.
            if waiting:
                returned = session.launch(journal, points)
        return returned
