"""The place in a user's own code at which an error occurred."""

from __future__ import annotations

import inspect
import re
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
LIBRARIES = tuple(
    Path(sysconfig.get_path(name)).resolve()
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
)

KEYWORD = re.compile(r"\s*(async )?(def|class) ")


def user_place(error: BaseException) -> str | None:
    """The innermost line of the user's own code that an error passed through, or None.

    Returns:
        file, line and function, e.g. ``radarlab/nets.py:12 in forward``; the path is relative if
        the file is below the working directory.
    """
    places = [
        f"{_short(Path(frame.f_code.co_filename))}:{line} in {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if is_user_code(frame)
    ]
    return places[-1] if places else None


def user_traceback(error: BaseException) -> str:
    """The traceback of the error that caused `error`, from the first frame of the user's own code
    on; all frames if none is the user's."""
    origin = [link for link in error_chain(error) if user_place(link) is not None] or [error]
    begin = origin[-1].__traceback__
    for link in _links(begin):
        if is_user_code(link.tb_frame):
            begin = link
            break
    return "".join(traceback.format_exception(type(origin[-1]), origin[-1], begin, chain=False))


def is_user_code(frame: FrameType) -> bool:
    """Whether a frame belongs to a file that is neither Python's, nor an installed package's, nor
    cvtrain's."""
    path = Path(frame.f_code.co_filename)
    if not path.is_absolute():  # `<frozen importlib>`, `<string>`
        return False
    resolved = path.resolve()
    own = resolved.is_relative_to(PACKAGE) or resolved.parent.name == "hydra_plugins"
    program = resolved.name == "cvtrain" and resolved.parent.name == "bin"
    return not (own or program or any(resolved.is_relative_to(root) for root in LIBRARIES))


def definition_place(definition: Any) -> str:
    """The file and line at which a function, method or class is defined, e.g.
    ``radarlab/nets.py:12``; the name of its module if there is no file (for a built-in one)."""
    definition = inspect.unwrap(getattr(definition, "func", definition))
    try:
        path = Path(str(inspect.getsourcefile(definition)))
        lines, begin = inspect.getsourcelines(definition)
        # The decorators come first.
        keywords = (number for number, line in enumerate(lines) if KEYWORD.match(line))
        return f"{_short(path)}:{max(1, begin) + next(keywords, 0)}"
    except (TypeError, OSError):
        return str(getattr(definition, "__module__", None) or type(definition).__module__)


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its cause or context, the cause of that, and so on."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _links(begin: TracebackType | None) -> Iterator[TracebackType]:
    while begin is not None:
        yield begin
        begin = begin.tb_next


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
