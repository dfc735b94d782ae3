"""A terminal that shows every string literally."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from cvtrain.process.notebook import in_notebook
from cvtrain.process.plain_text import printable


class PlainConsole(Console):
    """A rich console that shows mark-up, emoji names and escape sequences in strings as text.

    Args:
        arguments: arguments of `rich.console.Console`.
    """

    def __init__(self, **arguments: Any) -> None:
        # A notebook then shows it like printed text, not like displayed pages.
        super().__init__(
            markup=False, emoji=False, highlight=False, force_jupyter=False, **arguments
        )

    @property
    def is_terminal(self) -> bool:
        """Whether it writes to a terminal, which the streams of a notebook claim to be."""
        return super().is_terminal and not in_notebook()

    def render_str(self, text: str, **arguments: Any) -> Text:
        """A string as rich text, for a line, a cell or a title."""
        return super().render_str(printable(text, lines=True), **arguments)
