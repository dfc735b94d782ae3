"""What ends a sweep: its summary, or the analysis that an experiment names instead."""

from __future__ import annotations

from pathlib import Path

from cvtrain.errors import InputError, RunFailed
from cvtrain.report.load import load


def report(directory: Path) -> None:
    """Print what the runs in `directory` came to, by the analysis that their experiment names.

    Raises:
        InputError: there is no run in it, or the runs name different analyses.
        RunFailed: what the experiment claims does not hold.
    """
    runs = load(directory).runs
    named = set(runs["analysis"].dropna()) if "analysis" in runs else set()
    if len(named) > 1:
        raise InputError(f"{directory}: its runs are of several experiments: {sorted(named)}")
    analyse(named.pop() if named else None, directory)


def analyse(name: str | None, directory: Path) -> None:
    """Print the summary of the runs in `directory`, or hold them against an experiment's claim.

    Raises:
        InputError: there is no run in it.
        RunFailed: the claim does not hold.
    """
    from cvtrain.report.interaction import print_interaction
    from cvtrain.report.laws import print_laws
    from cvtrain.report.lms import print_lms
    from cvtrain.report.semantics import print_semantics
    from cvtrain.report.stability import print_stability
    from cvtrain.report.terminal import print_summary

    if name is None:
        print_summary(directory)
        return
    analyses = {
        "laws": print_laws,
        "stability": print_stability,
        "lms": print_lms,
        "semantics": print_semantics,
        "interaction": print_interaction,
    }
    broken = analyses[name](directory)
    if broken:
        raise RunFailed(broken)
