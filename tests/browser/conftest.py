"""A headless Chromium, and a real sweep for it to look at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cvtrain.cli.train import main as train

CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_playwright() as playwright:
        # A sandbox of its own is refused to root, as in a container.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 short runs of the experiment that everybody begins with, with their report."""
    directory = tmp_path_factory.mktemp("browser") / "sweep"
    short = ("seed=0,1", "lr_octave=-1,0,1", "max_steps=20", "model.hidden=[8]")
    assert train(["+experiment=sweep", *short, f"hydra.sweep.dir={directory}"]) == 0
    return directory
