"""What ends a sweep instead of its summary, by the name that an experiment gives it."""

from __future__ import annotations

from pathlib import Path

from cvtrain.errors import RunFailed


def analyse(name: str, directory: Path) -> None:
    """Print what the runs in `directory` say of the experiment's claim.

    Raises:
        RunFailed: the claim does not hold.
    """
    from cvtrain.report.interaction import print_interaction
    from cvtrain.report.laws import print_laws
    from cvtrain.report.lms import print_lms
    from cvtrain.report.semantics import print_semantics
    from cvtrain.report.stability import print_stability

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
