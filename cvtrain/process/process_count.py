"""How many processes that train this machine may be asked for."""

from __future__ import annotations

import os

from cvtrain.process.errors import InputError

MOST_PER_CORE = 4
"""Each takes some 400 MB before it trains; more than a few for each core make nothing faster."""


def most_processes() -> int:
    """As many as this machine has cores for."""
    return MOST_PER_CORE * (os.cpu_count() or 1)


def check_process_count(key: str, processes: int) -> None:
    """Refuse more processes than this machine has cores for.

    Args:
        key: where they were asked for.
        processes: how many.

    Raises:
        InputError: with how many there may be.
    """
    if processes > most_processes():
        raise InputError(
            f"{key}={processes}: should be at most {most_processes()}, {MOST_PER_CORE} for each of"
            " the cores of this machine"
        )
