"""Which versions a run was made with."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("cvtrain", "torch", "lightning", "hydra-core", "torchcvnn", "numpy")


@cache
def package_versions() -> dict[str, str]:
    """Versions of the packages that a run's numbers depend on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # cvtrain run from a source tree that is not installed
            continue
    return versions


@cache
def source_commit() -> str | None:
    """The git commit of the program's source tree, if it runs from one."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
