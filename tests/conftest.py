"""The command in process, in an empty directory of its own; the share of long tests."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# Before their imports, so that they too say what was unequal.
pytest.register_assert_rewrite("tests.sweeps.small_sweep", "tests.training.trained_runs")

from cvtrain.cli.train import main  # noqa: E402
from tests.blank_figures import figures_left_blank  # noqa: E402
from tests.forked_command import ForkedCommands, import_what_commands_need  # noqa: E402
from tests.made_once import make_once  # noqa: E402
from tests.workers import run_in_forks  # noqa: E402


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
    parser.addoption("--workers", type=int, default=1, help="processes that run tests at a time")


def pytest_configure() -> None:
    make_once()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--all"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="long: wants --all"))


@pytest.fixture
def share(request: pytest.FixtureRequest) -> Callable[..., int]:
    """`share(cases)` is how many of a long test's cases are tried: all under `--all`."""

    def tried(cases: int, part: int = 20) -> int:
        return cases if request.config.getoption("--all") else max(1, cases // part)

    return tried


@pytest.fixture(scope="module")
def blank_figures() -> Iterator[None]:
    """Reports in this process have blank figures."""
    with figures_left_blank():
        yield


FORKED = pytest.StashKey[ForkedCommands]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Fork what runs tests and commands while nothing but imports has happened in this process."""
    if session.config.option.collectonly or session.testsfailed:  # pytest ends by itself then
        return None
    # The garbage collector need not look through what is imported, nor write to its pages.
    gc.freeze()
    wanted = any("commands" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted:
        import_what_commands_need()

    def begin() -> None:
        if wanted:
            session.stash[FORKED] = ForkedCommands()

    workers = session.config.option.workers
    if workers > 1:
        run_in_forks(session, workers, begin)
        return True
    begin()
    return None


@pytest.fixture(scope="session")
def commands(request: pytest.FixtureRequest) -> Iterator[ForkedCommands]:
    """Runs commands in processes of their own that have everything imported."""
    forked = request.session.stash[FORKED]
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
