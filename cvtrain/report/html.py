"""A report as one HTML page that needs no network and no other file."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from cvtrain.process.plain_text import printable
from cvtrain.report.cells import STATUS
from cvtrain.report.document import Document, Sentence


def page(document: Document, folder: Path) -> str:
    """Render the page as HTML.

    Args:
        document: the report.
        folder: holds its figures as `<name>.svg`; they are embedded in the page.
    """
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

    def embedded(name: str) -> str:
        content = base64.b64encode((folder / f"{name}.svg").read_bytes()).decode()
        return f"data:image/svg+xml;base64,{content}"

    rendered: str = environment.get_template("page.html.jinja").render(
        document=document, embedded=embedded
    )
    return rendered


def _printable(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def linked(sentence: Sentence) -> Markup:
    """The sentence as HTML, with links to the rows (or tables) that its numbers come from."""
    text = escape(printable(sentence.text))
    if not sentence.sources:
        return text
    links = [
        Markup('<a href="#{}">{}</a>').format(re.sub(r"\s", "-", name), name)
        for name in sentence.sources
    ]
    return text + Markup(' <span class="sources">[') + Markup(", ").join(links) + Markup("]</span>")
