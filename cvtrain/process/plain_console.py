"""A terminal that shows every string as it is."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from cvtrain.process.plain_text import printable


class PlainConsole(Console):
    """A rich console that shows mark-up, emoji names and escape sequences in a string as text.

    Args:
        arguments: of `rich.console.Console`.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **arguments)

    def render_str(self, text: str, **arguments: Any) -> Text:
        """A string as rich shows it, in a line, a cell or a title."""
        return super().render_str(printable(text, lines=True), **arguments)
