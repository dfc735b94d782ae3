"""Packages that only some of cvtrain needs, and that `pip install 'cvtrain[…]'` brings."""

from __future__ import annotations

from importlib.util import find_spec

from cvtrain.process.errors import InputError


def require_package(package: str, extra: str, wanted: str) -> None:
    """Refuse what was asked for where its package is not installed.

    Args:
        package: as it is imported.
        extra: which brings it.
        wanted: what asked for it, as on the command line.

    Raises:
        InputError: with the command that installs it.
    """
    if find_spec(package) is None:
        raise InputError(f"{wanted}: {package} is not installed: pip install 'cvtrain[{extra}]'")
