"""TensorBoard, started by cvtrain, shows a sweep: its runs, its charts, its table."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

ARMS = 10
PATIENCE = 60_000
"""Milliseconds: a slow machine draws slowly."""
TABS = {
    "Time Series": "scalar-card",
    "Scalars": "tf-line-chart-data-loader",
    "Custom Scalars": "tf-custom-scalar-margin-chart-card",
    "Images": "tf-image-loader img",
    "Text": "tf-text-loader",
    "HParams": "vaadin-grid-cell-content:visible",
}
"""What is drawn in each tab where it is not empty."""


@pytest.fixture(scope="module")
def address(browser, sweep: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "cvtrain", "tensorboard", str(sweep), "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        yield running.stdout.readline().split()[-1]
        running.terminate()


def ask(address: str, path: str) -> Any:
    """What TensorBoard's own interface answers."""
    url = urlsplit(address)
    with urllib.request.urlopen(f"{url.scheme}://{url.netloc}/data/{path}") as answer:
        return json.load(answer)


@pytest.fixture
def runs(address: str) -> list[str]:
    """The names of the runs, once they are loaded."""
    names: list[str] = []
    for _ in range(600):
        names = ask(address, "runs")
        if len(names) == 2 * ARMS + 1:
            break
    return names


def test_no_tab_is_empty_by_the_printed_address(page: Page, address, runs):
    assert len([name for name in runs if "/best_lr=" in name]) == ARMS
    page.goto(address)
    for tab, drawn in TABS.items():
        page.get_by_role("tab", name=tab).first.click(timeout=PATIENCE)
        expect(page.locator(drawn).first).to_be_visible(timeout=PATIENCE)


def test_learning_rate_curves_are_pinned_with_a_colour_for_each_arm(page: Page, address, runs):
    page.goto(address)
    expect(page.locator("metrics-pinned-view card-view")).to_have_count(4, timeout=PATIENCE)
    expect(page.locator("metrics-pinned-view")).to_contain_text("over_octave/SGD")
    query = urllib.request.quote("SGD/scale_1,pytorch", safe="")
    curve = ask(address, f"plugin/scalars/scalars?tag=over_octave%2FSGD%2Fval_loss&run={query}")
    assert [step for _, step, _ in curve] == [-1, 0, 1]
    dots = page.locator("metrics-pinned-view scalar-card").first.locator(".row-circle span")
    expect(dots).to_have_count(ARMS // 2, timeout=PATIENCE)
    colours = dots.evaluate_all("all => all.map(dot => getComputedStyle(dot).backgroundColor)")
    assert len(set(colours)) == ARMS // 2


def test_nothing_is_smoothed(page: Page, address, runs):
    page.goto(address.replace("#timeseries", "#scalars"))
    weight = page.locator("tf-smoothing-input input").first
    expect(weight).to_have_value("0", timeout=PATIENCE)


def test_hparams_tell_the_jitter_control_from_the_reference(page: Page, address, runs):
    page.goto(address.replace("#timeseries", "#hparams"))
    for name in ("arm", "init_jitter", "lr", "optimizer", "replicates", "jitter control"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=PATIENCE)
