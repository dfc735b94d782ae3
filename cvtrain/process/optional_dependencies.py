"""Packages that only some of cvtrain needs, and that `pip install 'cvtrain[…]'` installs."""

from __future__ import annotations

from importlib.util import find_spec

from cvtrain.process.errors import InputError


def require_package(package: str, extra: str, wanted: str) -> None:
    """Refuse a choice of the user whose package is not installed.

    Args:
        package: the name under which it is imported.
        extra: the extra of cvtrain that installs it.
        wanted: the choice, as on the command line.

    Raises:
        InputError: the package is missing; the message has the command that installs it.
    """
    if find_spec(package) is None:
        raise InputError(f"{wanted}: {package} is not installed: pip install 'cvtrain[{extra}]'")
