"""An inspection as a table, for a terminal and a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

from markupsafe import Markup
from rich import box
from rich.table import Table

from cvtrain.analysis.inspection_sentences import InspectedParameter
from cvtrain.process.plain_console import PlainConsole
from cvtrain.process.plain_text import printable

WIDTH = 80
HEADINGS = ("parameter", "shape", "numbers", "w.grad is", "share", "dead")
CONVENTIONS_SHOWN = {
    "pytorch": "2 ∂L/∂w*",
    "wirtinger": "∂L/∂w* (half)",
    "unconjugated": "2 ∂L/∂w (conj.)",
    "unconjugated_wirtinger": "∂L/∂w (half, conj.)",
}


def as_text(parameters: Sequence[InspectedParameter], sentences: Sequence[str]) -> str:
    """The table and the sentences, in lines of at most 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in HEADINGS:
        table.add_column(
            heading,
            justify="right" if heading in ("share", "dead") else "left",
            no_wrap=heading != "parameter",
            overflow="fold",
        )
    for row in map(_cells, parameters):
        table.add_row(*row)
    file = StringIO()
    console = PlainConsole(width=WIDTH, file=file)
    console.print(table)
    for sentence in sentences:
        console.print(sentence)
    return file.getvalue().rstrip()


def as_html(parameters: Sequence[InspectedParameter], sentences: Sequence[str]) -> str:
    """The table and the sentences as HTML."""

    def row(tag: str, cells: Sequence[str]) -> Markup:
        cell = Markup(f"<{tag}>{{}}</{tag}>")
        return Markup("<tr>{}</tr>").format(
            Markup("").join(cell.format(printable(text)) for text in cells)
        )

    rows = [row("th", HEADINGS), *(row("td", _cells(p)) for p in parameters)]
    paragraphs = [Markup("<p>{}</p>").format(printable(text)) for text in sentences]
    return str(
        Markup("<table>{}</table>{}").format(Markup("").join(rows), Markup("").join(paragraphs))
    )


def _cells(p: InspectedParameter) -> tuple[str, ...]:
    return (
        p.name,
        "×".join(map(str, p.shape)) or "1",
        "complex" if p.is_complex else "real",
        _reading(p),
        f"{100 * p.share:.1f} %",
        f"{p.dead}/{p.units}" if p.dead else "",
    )


def _reading(p: InspectedParameter) -> str:
    r = p.reading
    if r is None:
        return "not trained"
    if r.state == "factor":
        return f"{r.factor:.3g} × its value"
    if r.convention is not None:
        return CONVENTIONS_SHOWN[r.convention] if p.is_complex else "∂L/∂w"
    return "missing" if r.state == "unused" else r.state
