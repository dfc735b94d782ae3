"""The command in process, in an empty directory of its own; the share of long tests."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from cvtrain import experiments
from cvtrain.cli.train import main
from cvtrain.report import figures
from cvtrain.report.figures.style import paper_style
from tests.forked_command import ForkedCommands


@dataclass(frozen=True)
class Outcome:
    """What a command line came to."""

    status: int
    out: str
    err: str
    directory: Path

    @property
    def made(self) -> list[Path]:
        return sorted(self.directory.iterdir())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="long tests, in full length")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--all"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="long: wants --all"))


@pytest.fixture
def share(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """`share(cases)` is how many of a long test's cases are tried: all under `--all`."""
    return lambda cases: cases if request.config.getoption("--all") else max(1, cases // 20)


@cache
def blank_files() -> dict[str, bytes]:
    files = {}
    for ending in (".svg", ".png"):
        content = BytesIO()
        Figure(figsize=(0.1, 0.1)).savefig(content, format=ending[1:])
        files[ending] = content.getvalue()
    return files


def draw_nothing(*_: object, **__: object) -> Figure:
    return Figure(figsize=(0.1, 0.1))


def save_blank(figure: Figure, path: Path) -> list[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = {path.with_suffix(ending): content for ending, content in blank_files().items()}
    for file, content in written.items():
        file.write_bytes(content)
    return list(written)


@pytest.fixture(scope="module")
def blank_figures() -> Iterator[None]:
    """Reports in this process have blank figures: drawing takes longest where a sweep is short."""
    styled = paper_style(draw_nothing).__code__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cvtrain.report.export.save_figure", save_blank)
        for folder in (figures, experiments):
            for module in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."):
                for name, value in tuple(vars(import_module(module.name)).items()):
                    if getattr(value, "__code__", None) is styled:
                        patch.setattr(f"{module.name}.{name}", draw_nothing)
        yield


@pytest.fixture(scope="session")
def commands() -> Iterator[ForkedCommands]:
    forked = ForkedCommands()
    yield forked
    forked.close()


Command = Callable[..., Outcome]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """`command("optimizer=adam", …)` runs the command line in a fresh working directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        status = main(arguments)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err, tmp_path)

    return run
