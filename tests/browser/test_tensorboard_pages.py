"""TensorBoard, started by cvtrain, shows a sweep: its runs, its charts, its table."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

RUNS = 60
PATIENCE = 60_000
"""Milliseconds: a slow machine draws slowly."""


@pytest.fixture(scope="module")
def address(browser, sweep: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "cvtrain", "tensorboard", str(sweep), "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        yield running.stdout.readline().split()[-1]
        running.terminate()


def ask(address: str, path: str, content: Any = None) -> Any:
    """TensorBoard's own interface; `content` is posted where there is any."""
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(
        f"{address}{path}", data, {"Content-Type": "application/json"} if data else {}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@pytest.fixture
def runs(address: str) -> list[str]:
    """The names of all runs, once they are loaded."""
    names: list[str] = []
    for _ in range(600):
        names = ask(address, "data/runs")
        if len([name for name in names if name[0].isdigit()]) == RUNS and "report" in names:
            break
    return names


def test_scalars_list_the_aggregates_first_and_every_run(page: Page, address, runs):
    assert len([name for name in runs if name[0].isdigit()]) == RUNS
    page.goto(f"{address}#scalars")
    first = "+aggregate/arms/Adam,jitter_control"
    last = next(name for name in runs if name.startswith("00_"))
    expect(page.get_by_text(first).first).to_be_visible(timeout=PATIENCE)
    places = [page.get_by_text(name).first.bounding_box() for name in (first, last)]
    assert places[0] is not None
    assert places[1] is not None
    assert places[0]["y"] < places[1]["y"]
    expect(page.get_by_text("loss_auc").first).to_be_visible(timeout=PATIENCE)


def test_time_series_draw_u_curves_over_the_octaves_of_the_learning_rate(page, address, runs):
    arms = [name for name in runs if "/arms/" in name]
    assert len(arms) == 10
    page.goto(f"{address}?runFilter=aggregate/arms#timeseries")
    page.get_by_text("over_octave").first.click(timeout=PATIENCE)
    expect(page.locator("scalar-card").first).to_be_visible(timeout=PATIENCE)
    expect(page.locator("scalar-card").first).to_contain_text("diverged")
    run = urllib.request.quote("+aggregate/arms/SGD,scale_1,pytorch", safe="")
    curve = ask(address, f"data/plugin/scalars/scalars?tag=over_octave%2Fval_loss&run={run}")
    assert [step for _, step, _ in curve] == [-1, 0, 1]


def test_custom_scalars_draw_re_and_im_of_an_entry_in_one_chart(page, address, runs):
    page.goto(f"{address}#custom_scalars")
    for title in ("loss", "gradient", "entries, Re and Im", "aggregates"):
        expect(page.get_by_text(title, exact=True).first).to_be_visible(timeout=PATIENCE)
    layout = ask(address, "data/plugin/custom_scalars/layout")
    entries = next(c for c in layout["category"] if c["title"] == "entries, Re and Im")
    tags = entries["chart"][0]["multiline"]["tag"]
    assert ["real" in tags[0], "imag" in tags[1]] == [True, True]
    one = next(name for name in runs if name[0].isdigit())
    for tag in tags:
        query = urllib.request.quote(tag, safe="")
        found = ask(address, f"data/plugin/custom_scalars/scalars?tag={query}&run={one}")
        assert found["regex_valid"]
        assert len(found["tag_to_events"]) == 1


def test_hparams_show_every_run_once_with_all_of_its_metrics(page, address, runs):
    page.goto(f"{address}#hparams")
    expect(page.get_by_text("Trial ID").first).to_be_visible(timeout=PATIENCE)
    for name in ("convention", "lr", "objective.scale", "optimizer", "seed"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    experiment = ask(address, "data/plugin/hparams/experiment", {})
    metrics = [info["name"] for info in experiment["metricInfos"]]
    asked = {
        "colParams": [{"metric": name, "includeInResult": True} for name in metrics],
        "allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
        "startIndex": 0,
        "sliceSize": 1000,
    }
    groups = ask(address, "data/plugin/hparams/session_groups", asked)["sessionGroups"]
    assert len(groups) == RUNS
    for group in groups:
        values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
        assert "test/accuracy" in values
        assert None not in values.values()


def test_images_and_text_show_the_report(page, address, runs):
    tags = ask(address, "data/plugin/images/tags")
    assert "learning_rates" in tags["report"]
    page.goto(f"{address}#text")
    expect(page.get_by_text("verdict").first).to_be_visible(timeout=PATIENCE)
