"""What ends a sweep beside its summary, by the name that an experiment gives it."""

from __future__ import annotations

from pathlib import Path

from cvtrain.errors import RunFailed


def analyse(name: str, directory: Path) -> None:
    """Print what the runs in `directory` say of the experiment's claim.

    Raises:
        RunFailed: the claim does not hold.
    """
    from cvtrain.report.laws import print_laws

    broken = {"laws": print_laws}[name](directory)
    if broken:
        raise RunFailed(broken)
