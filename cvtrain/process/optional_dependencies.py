"""Packages that only parts of cvtrain need: the extras of pyproject.toml."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from cvtrain.process.errors import InputError
from cvtrain.process.plain_text import printed_command, python_command


def require_package(package: str, extra: str, wanted: str) -> None:
    """Check that the package for a user's choice is installed.

    Args:
        package: name under which it is imported.
        extra: extra of cvtrain that installs it.
        wanted: the choice, as on the command line.

    Raises:
        InputError: the package is missing; the message has the command that installs it.
    """
    if find_spec(package) is None:
        raise InputError(f"{wanted}: needs {package}: {install_command(extra)}")


def install_command(extra: str) -> str:
    """The command that installs an extra into the environment of this process.

    In a source tree it installs cvtrain from there with its constraints, since no index has a
    package of this name. Elsewhere it names the packages of the extra.
    """
    root = Path(__file__).resolve().parents[2]
    pip = (python_command(), "-m", "pip", "install")
    if (root / "pyproject.toml").is_file():
        constraints = str(root / "constraints.txt")
        return printed_command(*pip, "-c", constraints, "-e", f"{root}[{extra}]")
    return printed_command(*pip, *_requirements(extra))


def _requirements(extra: str) -> list[str]:
    """The packages and versions that the installed cvtrain lists for an extra."""
    try:
        lines = distribution("cvtrain").requires or []
    except PackageNotFoundError:
        lines = []
    marker = f"extra == '{extra}'"
    return [
        line.partition(";")[0].strip() for line in lines if line.replace('"', "'").endswith(marker)
    ]
