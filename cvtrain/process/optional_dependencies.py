"""Packages that only some of cvtrain needs: the extras of pyproject.toml."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from cvtrain.process.errors import InputError
from cvtrain.process.plain_text import printed_command, python_command


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
        raise InputError(f"{wanted}: needs {package}: {install_command(extra)}")


def install_command(extra: str) -> str:
    """The line that installs an extra into the environment that runs this process.

    From a source tree, that installs cvtrain from there with its constraints: no index has a
    package of this name. Elsewhere it names the packages of the extra.
    """
    root = Path(__file__).resolve().parents[2]
    pip = (python_command(), "-m", "pip", "install")
    if (root / "pyproject.toml").is_file():
        constraints = str(root / "constraints.txt")
        return printed_command(*pip, "-c", constraints, "-e", f"{root}[{extra}]")
    return printed_command(*pip, *_requirements(extra))


def _requirements(extra: str) -> list[str]:
    """The packages that the installed cvtrain names for an extra, with their versions."""
    try:
        lines = distribution("cvtrain").requires or []
    except PackageNotFoundError:
        lines = []
    marker = f"extra == '{extra}'"
    return [
        line.partition(";")[0].strip() for line in lines if line.replace('"', "'").endswith(marker)
    ]
