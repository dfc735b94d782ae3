"""A report on the terminal: notes, verdict, sentences and tables."""

from __future__ import annotations

from rich.table import Table as RichTable

from cvtrain.process.plain_console import PlainConsole
from cvtrain.report.document import Document, Table

WIDTH = 118
"""Columns, where the output is not a terminal."""


def print_document(document: Document) -> None:
    """Print a report without its figures and its long tables."""
    console = PlainConsole()
    if not console.is_terminal:
        console = PlainConsole(width=WIDTH)

    def say(text: str) -> None:
        console.print(text)

    for note in document.notes:
        say(note)
    for section in document.sections:
        shown = [table for table in section.tables if not table.detail]
        for table in shown:
            console.print(rich_table(table))
        for sentence in section.sentences:
            say(str(sentence))
        if shown or section.sentences:
            say("")
    for sentence in document.verdict:
        say(str(sentence))


def rich_table(table: Table) -> RichTable:
    """The table as rich draws it."""
    drawn = RichTable(title=table.title, title_justify="left")
    if table.numbered:
        drawn.add_column("#", justify="right")
    for place, column in enumerate(table.columns):
        drawn.add_column(
            column.heading,
            justify="left" if column.left else "right",
            no_wrap=column.left and place == 0,
        )
    for number, cells in enumerate(table.cells):
        drawn.add_row(*([str(number + 1)] if table.numbered else []), *cells)
    drawn.caption = table.caption or None
    drawn.caption_justify = "left"
    return drawn
