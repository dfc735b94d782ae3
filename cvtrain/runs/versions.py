"""The package versions and the machine with which a run was made."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("cvtrain", "torch", "lightning", "hydra-core", "torchcvnn", "numpy")


@cache
def package_versions() -> dict[str, str]:
    """Versions of the packages that affect a run's numbers."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # cvtrain runs from a source tree that is not installed
            continue
    return versions


@cache
def machine() -> dict[str, str]:
    """The machine: processor, number of cores that this process may use, system."""
    return {
        "processor": _processor() or platform.processor() or platform.machine(),
        "cores": str(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        ),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    """Name of the processor's model on Linux; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")


@cache
def source_commit() -> str | None:
    """The git commit of the source tree, or None if the program does not run from one."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
