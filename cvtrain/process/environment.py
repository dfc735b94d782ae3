"""Environment variables and `sys.path` that a process of cvtrain sets before it trains.

The command sets them, and so do the functions that correspond to it (`cvtrain.configure`,
`cvtrain.train`); importing a part of the library, such as a callback, changes nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

CPU_FILE = Path("/proc/cpuinfo")


def set_environment() -> None:
    """Set the variables that libraries read when torch is loaded or first computes.

    Variables that are set already are not changed. Processes that this one starts inherit them.
    """
    for name, value in numeric_environment().items():
        os.environ.setdefault(name, value)


def numeric_environment() -> dict[str, str]:
    """The variables of `set_environment` and their values."""
    variables = {
        # Otherwise MKL rounds depending on where in memory an operand begins: on a run's place in
        # its stack. Measured to cost nothing; it is read when MKL first runs.
        "MKL_CBWR": "AUTO",
        # Threads of GNU's OpenMP spin for about a millisecond while they wait, and so delay the
        # threads they wait for if another process computes beside this one. Measured on 2 cores
        # with a stack of 64: alone 5.3 to 5.9 s instead of 4.2 to 7.6 s; two at once 8 s each,
        # while with the default one beside two other processes took 80 s. Read when torch is
        # loaded.
        "GOMP_SPINCOUNT": "5000",
    }
    if _has_avx512():
        # Vectors of AVX-512 hold 16 real numbers, and stacks would have to be filled up to
        # multiples twice as large (`cvtrain.training.stack.alignment`). Measured to be no slower;
        # read when torch first runs.
        variables["ATEN_CPU_CAPABILITY"] = "avx2"
    return variables


def import_from_working_directory() -> None:
    """Let modules in the current directory be imported, after all others.

    `python -m cvtrain` finds them anyway, the installed command `cvtrain` does not; a user's
    package should be found by both.
    """
    directory = str(Path.cwd())
    if directory not in sys.path and "" not in sys.path:
        sys.path.append(directory)


def _has_avx512() -> bool:
    return CPU_FILE.exists() and "avx512f" in CPU_FILE.read_text(encoding="utf-8", errors="replace")
