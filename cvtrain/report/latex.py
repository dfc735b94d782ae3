"""Tables as LaTeX floats that fit a column of a two-column paper, or its page."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from cvtrain.process.plain_text import printable
from cvtrain.report.cells import EXPONENT, replace_exponents
from cvtrain.report.document import Table

COLUMN, PAGE = 252.0, 516.0
"""Points of a column and of a page of IEEE journals."""
LETTER, SEPARATION = 4.3, 3.0
"""Points of an average letter of 8 points, and on either side of a column."""
LEAST_PARAGRAPH = 45.0
"""Points of a column of words that break into lines."""
THIN = "\u2009"
POWERS = re.compile(rf"\^(-?[\d.]+)|{EXPONENT.pattern}")
"""Exponents, plain behind ^ or raised."""
SPECIAL = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "[": "{[}",  # after the line's end before it, a bracket would begin an argument
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
        "⅓": "1/3",
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
"""Where a number and its unit, its interval or its spread stand closer than words."""


def as_tex(table: Table, origin: Sequence[str] = ()) -> str:
    """A table as a float with caption and label; it needs the packages array, booktabs, textcomp.

    Args:
        table: of which empty columns are left out.
        origin: lines for a comment before it: where its numbers come from.

    Returns:
        an environment `table`, or `table*` where a column is too narrow for it.
    """
    cells = [tuple(map(_tex, row)) for row in table.cells]
    letters = _column_letters(table)
    width = _width(letters)
    float_name = "table" if width <= COLUMN else "table*"
    left = [column.left for column in table.shown]
    kinds = _kinds(letters, left) if width > PAGE else ["l" if one else "r" for one in left]
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
    for found in POWERS.finditer(shown):
        exponent = found[1] or replace_exponents(found[0], "{}")
        parts += [shown[last : found.start()].translate(SPECIAL), f"$^{{{exponent}}}$"]
        last = found.end()
    return "".join((*parts, shown[last:].translate(SPECIAL)))


def _column_letters(table: Table) -> list[int]:
    """The letters of the widest line of every column: headings break between words."""
    columns = zip(*table.cells, strict=True) if table.cells else [()] * len(table.headings)
    return [
        max([len(word) for word in heading.split()] + [len(cell) for cell in cells] + [1])
        for heading, cells in zip(table.headings, columns, strict=True)
    ]


def _width(letters: Sequence[int]) -> float:
    return sum(LETTER * number + 2 * SEPARATION for number in letters)


def _kinds(letters: Sequence[int], left: Sequence[bool]) -> list[str]:
    """Columns of words as paragraphs that share what numbers leave of the page."""
    free = PAGE - _width([n for n, words in zip(letters, left, strict=True) if not words])
    longest = sum(n for n, words in zip(letters, left, strict=True) if words)
    kinds = []
    for number, words in zip(letters, left, strict=True):
        share = max(LEAST_PARAGRAPH, free * number / max(longest, 1) - 2 * SEPARATION)
        kinds.append(rf">{{\raggedright\arraybackslash}}p{{{share:.0f}pt}}" if words else "r")
    return kinds


def _heading(heading: str, letters: int, left: bool) -> str:
    lines = [_tex(line) for line in textwrap.wrap(heading, letters, break_long_words=False)]
    if len(lines) < 2:
        return "".join(lines)
    return rf"\shortstack[{'l' if left else 'r'}]{{" + r" \\ ".join(lines) + "}"
