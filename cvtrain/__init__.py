"""Training experiments for complex-valued neural networks: what the factor 2 in w.grad changes.

cvtrain.configure("+experiment=article")   a checked configuration, from command-line overrides
cvtrain.train(config, output="outputs")    one run, as `python -m cvtrain` makes it
cvtrain.load("outputs/sweep/…")            a sweep's runs and curves as pandas tables
cvtrain.GradientMonitor(…)                 the signals, for any LightningModule
cvtrain.StackedModule(…)                   K networks of your own, trained as one
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvtrain.analysis.load import load
    from cvtrain.api import configure, train
    from cvtrain.training.monitor import GradientMonitor
    from cvtrain.training.stacked_module import StackedModule

# Otherwise MKL rounds by where in memory an operand begins: by a run's place in its stack. Measured
# to cost nothing; it is read when MKL first runs.
os.environ.setdefault("MKL_CBWR", "AUTO")

# Threads of GNU's OpenMP spin for about a millisecond while they wait, and so hold up those they
# wait for where another process computes beside this one. Measured on 2 cores, a stack of 64: alone
# 5.3 to 5.9 s instead of 4.2 to 7.6 s; two at once 8 s each, while with the default one beside two
# other processes took 80 s. Read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")


def _has_avx512() -> bool:
    cpu = Path("/proc/cpuinfo")
    return cpu.exists() and "avx512f" in cpu.read_text(encoding="utf-8", errors="replace")


# Vectors of AVX-512 hold 16 real numbers, and stacks would have to be filled up to multiples twice
# as large (`cvtrain.training.stack.alignment`). Measured to be no slower; read when torch first
# runs.
if _has_avx512():
    os.environ.setdefault("ATEN_CPU_CAPABILITY", "avx2")

__all__ = ["GradientMonitor", "StackedModule", "configure", "load", "train"]

_HOMES = {
    "GradientMonitor": "cvtrain.training.monitor",
    "StackedModule": "cvtrain.training.stacked_module",
    "configure": "cvtrain.api",
    "load": "cvtrain.analysis.load",
    "train": "cvtrain.api",
}


def __getattr__(name: str) -> Any:
    # Looked up on first use: `--help` must not pay for torch and Lightning.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module cvtrain has no {name}")
