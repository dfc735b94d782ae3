"""How many processes that train this machine may be asked for."""

from __future__ import annotations

import os

from cvtrain.errors import InputError

MOST_PER_CORE = 4
"""Each takes some 400 MB before it trains; more than a few for each core make nothing faster."""


def check_process_count(key: str, processes: int) -> None:
    """Refuse more processes than this machine has cores for.

    Args:
        key: where they were asked for.
        processes: how many.

    Raises:
        InputError: with how many there may be.
    """
    cores = os.cpu_count() or 1
    if processes > MOST_PER_CORE * cores:
        raise InputError(
            f"{key}={processes}: should be at most {MOST_PER_CORE * cores},"
            f" {MOST_PER_CORE} for each of the {cores} cores of this machine"
        )
