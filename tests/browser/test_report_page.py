"""The report's page as a person meets it: from disk, on a screen, on a phone, by keyboard."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from cvtrain.cli.report import main as report

VIEW_BOX = "view => view.getAttribute('viewBox').split(' ').map(Number)"
NARROW = {"width": 375, "height": 700}
SIZES = """all => all.filter(e => !e.closest('svg') && e.innerText)
    .map(e => parseFloat(getComputedStyle(e).fontSize))"""
LINES = """all => all.map(cell => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    return new Set([...range.getClientRects()].map(box => Math.round(box.top))).size;
})"""
"""Of the text of every cell; 0 where it is not shown."""
DRAWN_SIZES = """[...document.querySelectorAll('figure')].flatMap(figure => {
    const view = figure.querySelector('.views svg');
    const scale = view.getBoundingClientRect().width / view.viewBox.baseVal.width;
    return [...figure.querySelectorAll('.store text')]
        .map(text => scale * parseFloat(getComputedStyle(text).fontSize));
})"""


@pytest.fixture
def opened(page: Page, sweep: Path) -> Page:
    page.goto((sweep / "report" / "index.html").as_uri())
    return page


def test_the_page_needs_nothing_but_itself_and_has_nothing_to_complain_of(page, sweep):
    messages, asked = [], []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    address = (sweep / "report" / "index.html").as_uri()
    page.goto(address)
    page.wait_for_load_state("networkidle")
    assert messages == []
    assert [url for url in asked if not url.startswith("data:")] == [address]


def test_the_verdict_comes_first_and_is_that_of_the_summary(opened, sweep):
    summary = json.loads((sweep / "report" / "summary.json").read_text(encoding="utf-8"))
    shown = opened.locator("#verdict p").all_inner_texts()
    assert [" ".join(text.split()) for text in shown] == summary["verdict"]
    assert opened.evaluate("document.querySelector('main').firstElementChild.id") == "verdict"


def test_the_answer_has_a_sign_and_a_colour_for_every_outcome(opened):
    cells = opened.locator("#answers tbody td:nth-child(4)")
    assert cells.count() == 6
    texts, names = cells.all_inner_texts(), cells.evaluate_all("all => all.map(c => c.className)")
    for text, name in zip(texts, names, strict=True):
        assert {"✓": "good", "✗": "bad", "?": "open"}[text[0]] in name.split()
    for view in opened.locator(".views svg").all():  # no view shows more than its panel
        box, (_, _, width, height) = view.bounding_box(), view.evaluate(VIEW_BOX)
        assert box is not None
        assert box["height"] / box["width"] == pytest.approx(height / width, rel=0.02)
    box = opened.locator("#figure-registered").bounding_box()
    assert box is not None
    assert box["y"] < 800


def test_every_figure_is_drawn(opened, sweep):
    summary = json.loads((sweep / "report" / "summary.json").read_text(encoding="utf-8"))
    named = [summary["cover"], *(n for part in summary["sections"] for n in part["figures"])]
    assert len(named) >= 6
    for name in named:
        views = opened.locator(f"#figure-{name} .views")
        assert views.get_attribute("aria-label")
        for box in views.locator("svg").evaluate_all(BOXES):
            assert box["width"] > 200 and box["height"] > 20
        titles = opened.locator(f"#figure-{name} .store text").all_text_contents()
        assert any("SGD" in title for title in titles), name


BOXES = "all => all.map(each => each.getBoundingClientRect().toJSON())"


def test_the_page_stands_alone_it_says_what_was_run_and_holds_every_file(opened, sweep):
    summary = json.loads((sweep / "report" / "summary.json").read_text(encoding="utf-8"))
    text = opened.locator("body").inner_text()
    assert summary["origin"]["sentence"] in text
    assert summary["origin"]["command"] in text
    links = opened.locator("a[download]").evaluate_all("all => all.map(a => [a.download, a.href])")
    assert {name.rpartition(".")[2] for name, _ in links} == {"csv", "tex", "svg"}
    for name, address in links:
        content = base64.b64decode(address.partition(",")[2])
        assert content == (sweep / "report" / name).read_bytes()


def test_what_a_sentence_names_is_on_the_page_and_shown_when_asked_for(opened):
    links = opened.locator("a[href^='#']")
    targets = links.evaluate_all("found => found.map(link => link.getAttribute('href'))")
    assert any(target.startswith("#sgd_") for target in targets)
    for target in set(targets):
        assert opened.locator(f"[id='{target[1:]}']").count() == 1, target
    link = opened.locator("a[href^='#sgd_prices-']").first
    link.click()
    row = opened.locator(f"[id='{(link.get_attribute('href') or '')[1:]}']")
    row.wait_for(state="visible")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_without_scrolling_sideways(browser: Browser, sweep, scheme):
    page = browser.new_page(viewport=NARROW, color_scheme=scheme)
    page.goto((sweep / "report" / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    sizes = page.locator("body *").evaluate_all(SIZES)
    assert min(sizes) >= 11
    smallest = min(size for size in page.evaluate(DRAWN_SIZES))
    assert smallest >= 11
    assert set(page.locator(".table td:not(.left)").evaluate_all(LINES)) <= {0, 1}
    cells = page.locator("#answers td").evaluate_all(BOXES)
    assert all(box["right"] <= NARROW["width"] for box in cells)
    page.close()


def luminance(colour: str) -> float:
    """Of an sRGB colour: WCAG 2.2, relative luminance."""
    shares = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_links_can_be_told_from_the_paper(browser: Browser, sweep, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto((sweep / "report" / "index.html").as_uri())
    style = "element => getComputedStyle(element)"
    paper = luminance(page.locator("body").evaluate(f"({style})(document.body).backgroundColor"))
    assert (paper < 0.1) == (scheme == "dark")
    for selector in ("body", "nav a", ".below", "#answers td:nth-child(4)"):
        colour = page.locator(selector).first.evaluate("element => getComputedStyle(element).color")
        lighter, darker = sorted((luminance(colour), paper), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, selector
    page.close()


def test_the_keyboard_reaches_sections_and_opens_long_tables(opened):
    focused = "document.activeElement"
    for _ in range(6):  # the answer, which may have to be scrolled, and files come before
        opened.keyboard.press("Tab")
        if opened.evaluate(f"{focused}.closest('nav') !== null"):
            break
    assert opened.evaluate(f"{focused}.closest('nav') !== null")
    target = opened.evaluate(f"{focused}.getAttribute('href')")
    opened.keyboard.press("Enter")
    assert opened.evaluate("location.hash") == target
    summary = opened.locator("summary").first
    summary.focus()
    opened.keyboard.press("Enter")
    assert opened.locator("details").first.evaluate("details => details.open")


def test_text_from_a_configuration_is_shown_and_never_run(page, sweep, tmp_path):
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script> & \"'"
    for number, source in enumerate(sorted(sweep.glob("*/run.json"))[:2]):
        record = json.loads(source.read_text(encoding="utf-8"))
        record["config"]["variant"] = f"{hostile}{number}"
        record["error"] = hostile
        record["status"] = "failed"
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert report([str(tmp_path)]) == 0
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page.goto((tmp_path / "report" / "index.html").as_uri())
    page.wait_for_load_state("networkidle")
    assert page.locator("script").count() == 0
    assert page.locator("img[src='x']").count() == 0
    assert hostile in page.locator("body").inner_text()
