"""Tables as LaTeX floats that fit a column or the page of a two-column paper."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from string import ascii_uppercase

from cvtrain.process.plain_text import printable
from cvtrain.report.cells import EXPONENT, replace_exponents
from cvtrain.report.document import Table

COLUMN, PAGE = 252.0, 516.0
"""Width of a column and of a page of IEEE journals, in points."""
SEPARATION = 3.0
"""Space on either side of a table's column, in points."""
LETTER = 4.3
WIDTHS = {
    **dict.fromkeys(" .,:;'’()[]ijl|⁻·⁰¹²³⁴⁵⁶⁷⁸⁹", 2.6),
    **dict.fromkeys("−+±×=%w", 6.7),
    **dict.fromkeys(ascii_uppercase, 6.7),
    **dict.fromkeys("mMW", 8.5),
}
"""Widths of characters in points at size 8 in Computer Modern, which is wider than Times; `LETTER`
for others."""
THIN = "\u2009"
POWERS = re.compile(rf"\^(-?[\d.]+)|{EXPONENT.pattern}")
"""Exponents, either plain after ^ or raised."""
SPECIAL = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "[": "{[}",  # a bracket after the end of the previous line would begin an argument
        "]": "{]}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': "''",
        "^": r"\^{}",
        "~": r"\~{}",
        "−": "$-$",
        "±": r"$\pm$",
        "½": r"\textonehalf{}",
        "¼": r"\textonequarter{}",
        "⅓": "1/3",
        "¾": "3/4",
        "⅛": "1/8",
        "°": r"\textdegree{}",
        "₂": "$_2$",
        "↓": r"$\downarrow$",
        "×": r"$\times$",
        "·": r"$\cdot$",
        "→": r"$\rightarrow$",
        "∂": r"$\partial$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "√": r"$\surd$",
        "…": r"\ldots{}",
        "✓": "",
        "✗": "",
        "∞": r"$\infty$",
        "ρ": r"$\rho$",
        "φ": r"$\varphi$",
        "π": r"$\pi$",
        "’": "'",
        "“": "``",
        "”": "''",
        "—": "---",
        THIN: r"\,",
    }
)
TIGHT = (
    (re.compile(r"(?<=[\d\]]) (?=[%\[])| (?=±)|(?<=±) |(?<=×) (?=\d)"), THIN),
    (re.compile(r"(?<=\d), (?=[−+]?[\d.]+\])"), f",{THIN}"),
)
"""Positions between a number and its unit, interval or spread, where a thin space is enough."""


def as_tex(table: Table, origin: Sequence[str] = ()) -> str:
    """A table as a float with caption and label; it needs the packages array, booktabs, textcomp.

    Args:
        table: the table; empty columns are left out.
        origin: lines of a comment before it that say where its numbers come from.

    Returns:
        an environment `table`, or `table*` if it does not fit a column.
    """
    cells = [tuple(map(_tex, row)) for row in table.cells]
    letters, widths = _widest(table, len), _widest(table, points)
    width = sum(widths) + 2 * SEPARATION * len(widths)
    float_name = "table" if width <= COLUMN else "table*"
    left = [column.left for column in table.shown]
    kinds = _kinds(widths, left) if width > PAGE else ["l" if one else "r" for one in left]
    heads = [
        _heading(heading, number, one)
        for heading, number, one in zip(table.headings, letters, left, strict=True)
    ]
    caption = _tex(". ".join(text.rstrip(".") for text in (table.title, table.caption) if text))
    lines = [
        *(f"% {printable(line)}" for line in origin),
        rf"\begin{{{float_name}}}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:{re.sub(r'[^A-Za-z0-9:.-]+', '-', table.name)}}}",
        rf"\footnotesize\setlength{{\tabcolsep}}{{{SEPARATION:g}pt}}",
        rf"\begin{{tabular}}{{{''.join(kinds)}}}",
        r"\toprule",
        *([f"{' & '.join(heads)} \\\\", r"\midrule"] if any(table.headings) else []),
        *(f"{' & '.join(row)} \\\\" for row in cells),
        r"\bottomrule",
        r"\end{tabular}",
        rf"\end{{{float_name}}}",
    ]
    return "\n".join([*lines, ""])


def _tex(text: str) -> str:
    shown = printable(text).strip()
    for pattern, replacement in TIGHT:
        shown = pattern.sub(replacement, shown)
    parts, last = [], 0
    for power in POWERS.finditer(shown):
        exponent = power[1] or replace_exponents(power[0], "{}")
        parts += [shown[last : power.start()].translate(SPECIAL), f"$^{{{exponent}}}$"]
        last = power.end()
    return "".join((*parts, shown[last:].translate(SPECIAL)))


def points(text: str) -> float:
    """Approximate width of a line of text in a table, in points."""
    return sum(WIDTHS.get(letter, LETTER) for letter in text)


def _widest(table: Table, measure: Callable[[str], float]) -> list[float]:
    """The measure of the widest line of every column; headings may break between words."""
    columns = zip(*table.cells, strict=True) if table.cells else [()] * len(table.headings)
    return [
        max(map(measure, ("1", *heading.split(), *cells)))
        for heading, cells in zip(table.headings, columns, strict=True)
    ]


def _kinds(widths: Sequence[float], left: Sequence[bool]) -> list[str]:
    """LaTeX types of the columns. Columns of words become paragraphs that share the room left by
    numbers; narrow ones are as wide as their words."""
    kinds = ["r"] * len(widths)
    numbers = sum(width for width, words in zip(widths, left, strict=True) if not words)
    free = PAGE - numbers - 2 * SEPARATION * len(widths)
    paragraphs = sorted((width, column) for column, width in enumerate(widths) if left[column])
    for done, (width, column) in enumerate(paragraphs):
        share = max(min(width, free / (len(paragraphs) - done)), LETTER)
        kinds[column] = rf">{{\raggedright\arraybackslash}}p{{{int(share)}pt}}"
        free -= share
    return kinds


def _heading(heading: str, letters: float, left: bool) -> str:
    lines = [_tex(line) for line in textwrap.wrap(heading, int(letters), break_long_words=False)]
    if len(lines) < 2:
        return "".join(lines)
    return rf"\shortstack[{'l' if left else 'r'}]{{" + r" \\ ".join(lines) + "}"
