"""Reports whose figures are blank: drawing takes longest where a sweep is short."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from cvtrain import experiments
from cvtrain.report import figures
from cvtrain.report.figures.panels import Panels
from cvtrain.report.figures.style import paper_style

ENDINGS = (".svg", ".png")


def draw_nothing(*_: object, **__: object) -> Panels:
    return blank()


@cache
def blank() -> Panels:
    return Panels(1, 1)


@cache
def blank_file(ending: str) -> bytes:
    content = BytesIO()
    draw_nothing().savefig(content, format=ending[1:])
    return content.getvalue()


def save_blank(figure: Figure, path: Path) -> list[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [path.with_suffix(ending) for ending in ENDINGS]
    for file in files:
        file.write_bytes(blank_file(file.suffix))
    return files


@contextmanager
def figures_left_blank() -> Iterator[None]:
    """Inside, whatever draws in the style of papers draws nothing, and blank files are saved."""
    styled = paper_style(draw_nothing).__code__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cvtrain.report.export.save_figure", save_blank)
        for folder in (figures, experiments):
            for module in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."):
                for name, value in tuple(vars(import_module(module.name)).items()):
                    if getattr(value, "__code__", None) is styled:
                        patch.setattr(f"{module.name}.{name}", draw_nothing)
        yield
