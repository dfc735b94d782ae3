"""A report as a self-contained HTML page that loads nothing from the network."""

from __future__ import annotations

import base64
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from cvtrain.process.plain_text import printable
from cvtrain.report.cells import STATUS
from cvtrain.report.document import Document, Picture, Sentence
from cvtrain.report.figures.panels import Panels, Piece

PIXELS = 1.5
"""Pixels per point of a figure: 8-point letters are 12 pixels high, 11 on a phone 375 pixels
wide."""
POINTS = 72
TYPES = {"svg": "image/svg+xml", "csv": "text/csv", "tex": "text/x-tex"}


def page(document: Document, folder: Path) -> str:
    """Render the page as HTML.

    Args:
        document: the report.
        folder: folder with its figures as `<name>.svg` and tables as `<name>.csv` and `<name>.tex`,
            which are embedded in the page to be shown and saved.
    """

    def saved(name: str, ending: str) -> str:
        content = base64.b64encode((folder / f"{name}.{ending}").read_bytes()).decode()
        return f"data:{TYPES[ending]};base64,{content}"

    def drawing(picture: Picture) -> Markup:
        return inline_drawing((folder / f"{picture.name}.svg").read_text("utf-8"), picture)

    rendered: str = _template().render(document=document, saved=saved, drawing=drawing)
    return rendered


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("cvtrain.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters["linked"] = linked
    environment.filters["status"] = lambda cell: STATUS.get(cell[:1], "")
    return environment.get_template("page.html.jinja")


def inline_drawing(svg: str, picture: Picture) -> Markup:
    """A figure as inline SVG: the drawing once, and a view of it for every panel and every column
    of the legend, which a narrow page shows below each other.

    Args:
        svg: content of a file that `save_figure` wrote.
        picture: the picture whose panels are shown.
    """
    drawing = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    drawing = drawing[drawing.index(">", drawing.index("<svg")) + 1 : drawing.rindex("</svg>")]
    # Figures share ids such as axes_1; on one page they would all refer to the first figure.
    drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{picture.name}-", drawing)
    whole = f"{picture.name}-drawing"
    views = [
        Markup(
            '<svg viewBox="{:.2f} {:.2f} {:.2f} {:.2f}" style="width:{:.0f}px">'
            '<use href="#{}"/></svg>'
        ).format(*(POINTS * length for length in piece), PIXELS * POINTS * piece.width, whole)
        for piece in _pieces(picture.figure)
    ]
    width = PIXELS * POINTS * picture.figure.get_size_inches()[0]
    return Markup(
        '<svg class="store" aria-hidden="true"><defs><g id="{}">{}</g></defs></svg>\n'
        '<div class="views" role="img" aria-label="{}" style="--width:{:.0f}px">{}</div>'
    ).format(whole, Markup(drawing), printable(picture.title), width + 1, Markup("").join(views))


def _pieces(figure: Panels) -> tuple[Piece, ...]:
    width, height = (float(length) for length in figure.get_size_inches())
    return figure.pieces or (Piece(0.0, 0.0, width, height),)


def _printable(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def linked(sentence: Sentence) -> Markup:
    """The sentence as HTML, with links to the table rows (or tables) that its numbers come from."""
    text = escape(printable(sentence.text))
    if not sentence.sources:
        return text
    links = [
        Markup('<a href="#{}">{}</a>').format(re.sub(r"\s", "-", name), name)
        for name in sentence.sources
    ]
    return text + Markup(' <span class="sources">[') + Markup(", ").join(links) + Markup("]</span>")
