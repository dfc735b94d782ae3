"""A terminal that shows every string as it is."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from cvtrain.process.notebook import in_notebook
from cvtrain.process.plain_text import printable


class PlainConsole(Console):
    """A rich console that shows mark-up, emoji names and escape sequences in a string as text.

    Args:
        arguments: of `rich.console.Console`.
    """

    def __init__(self, **arguments: Any) -> None:
        # A notebook shows it as it shows prints, not as displayed pages.
        super().__init__(
            markup=False, emoji=False, highlight=False, force_jupyter=False, **arguments
        )

    @property
    def is_terminal(self) -> bool:
        """Whether it writes to a terminal; the streams of a notebook say so of themselves."""
        return super().is_terminal and not in_notebook()

    def render_str(self, text: str, **arguments: Any) -> Text:
        """A string as rich shows it, in a line, a cell or a title."""
        return super().render_str(printable(text, lines=True), **arguments)
