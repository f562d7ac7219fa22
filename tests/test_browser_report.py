"""The report in a browser, from disk: it sorts, filters, draws and stays silent. Skipped where there is no Chromium."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hedgefox.bench import curves
from hedgefox.bench import record as records
from hedgefox.bench.report import report
from hedgefox.bench.score import Score

pytestmark = pytest.mark.browser
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
RECORDED = Path(__file__).parent / "records" / "quick-of-version-1"
EVIL = "<img src=x onerror=alert(1)><b>m</b>"
BODY = "document.querySelector('section.table:not([hidden]) tbody')"
SHOWN = "[...document.querySelectorAll('table.board tbody tr')].filter(r => r.offsetParent !== null).length"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded run of `quick`, one of its models with a hostile name."""
    folder = tmp_path_factory.mktemp("record")
    held = records.read(RECORDED)
    text = json.dumps(held).replace('"particle_gnn"', json.dumps(EVIL))
    (folder / "record.json").write_text(text)
    scores = [
        Score(s.domain, s.split, EVIL if s.model == "particle_gnn" else s.model, s.seed, s.curves)
        for s in curves.read(RECORDED / held["curves"])
    ]
    curves.write(folder / held["curves"], scores)
    return report(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["desktop", "phone"])
def opened(request: pytest.FixtureRequest, browser: Any, made: Path) -> Iterator[Any]:
    """The page from file://; what it complains about or fetches from elsewhere fails the test."""
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: said.append(str(e)))

    def refuse(dialog: Any) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else said.append(r.url))
    page.goto(made.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=60000)
    yield page
    page.close()
    assert said == []


def rows(page: Any) -> int:
    found: int = page.evaluate(SHOWN)
    return found


def column(page: Any, name: str) -> list[float]:
    """The figures of a column in the first visible table, in their order."""
    found: list[str] = page.evaluate(
        f"name => [...{BODY}.rows].map(r => r.querySelector('.c-' + name).dataset.key)",
        name,
    )
    return [float(f) for f in found if f is not None]


def test_filters_change_the_rows(opened: Any) -> None:
    first = rows(opened)
    opened.select_option("[data-filter=kind]", "generalist")
    assert rows(opened) == 3
    opened.select_option("[data-filter=domain]", "fluid")
    assert rows(opened) == 1
    opened.fill("[data-filter=text]", "nobody")
    assert rows(opened) == 0
    assert opened.is_visible("#nothing")
    opened.click("#reset")
    assert rows(opened) > first


def test_headings_sort_by_hand_and_by_keyboard(opened: Any) -> None:
    head = opened.locator("section.table:not([hidden]) th[data-column=latency_ms]").first
    head.locator("button").click()
    up = column(opened, "latency_ms")
    assert head.get_attribute("aria-sort") == "ascending"
    assert up == sorted(up)
    assert len(set(up)) > 3
    head.locator("button").focus()
    opened.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(opened, "latency_ms") == sorted(up, reverse=True)
    last = opened.evaluate(f"{BODY}.lastElementChild.querySelector('.c-latency_ms').textContent")
    assert last.strip() == "–"


def test_a_figure_says_how_it_is_traced_back(opened: Any) -> None:
    opened.locator("section.table:not([hidden]) tr[data-kind=specialist] td.c-position_rmse_20").first.click()
    command = opened.text_content("#explain-command")
    assert command.startswith("hedgefox explain quick/cloth/test/mesh_gnn/position_rmse_20 ")
    opened.keyboard.press("ArrowDown")
    assert "mesh_gnn" not in opened.text_content("#explain-command")
    opened.keyboard.press("Escape")
    assert not opened.is_visible("#explain")


def test_every_chart_is_drawn(opened: Any) -> None:
    number = opened.locator(".plot").count()
    assert number > 15
    for k in range(number):
        spot = opened.locator(".plot").nth(k)
        spot.scroll_into_view_if_needed()
        spot.locator(".main-svg").first.wait_for(state="attached", timeout=30000)
        assert spot.locator(".main-svg path, .main-svg image").count() > 3


def test_names_are_text_in_tables_legends_and_charts(opened: Any) -> None:
    assert opened.locator("img[src=x]").count() == 0
    assert opened.locator("#over-time .legend").get_by_text(EVIL, exact=True).count() == 1
    assert opened.locator("tbody th .name").get_by_text(EVIL, exact=True).count() > 0


def test_hiding_a_contestant_and_the_axis_change_the_chart(opened: Any) -> None:
    spot = opened.locator("#over-time .plot").first
    spot.scroll_into_view_if_needed()
    spot.locator(".main-svg").first.wait_for(state="attached", timeout=30000)
    lines = spot.locator(".scatterlayer .trace").count()
    opened.locator("#over-time .legend button", has_text="jepa").first.click()
    opened.wait_for_function(
        "n => document.querySelector('#over-time .plot').querySelectorAll('.scatterlayer .trace').length < n", arg=lines
    )
    opened.locator("#over-time .controls button").click()
    opened.wait_for_function("document.querySelector('#over-time .plot')._fullLayout.yaxis.type === 'linear'")


def test_nothing_is_wider_than_the_page_and_the_theme_switches(opened: Any) -> None:
    width = opened.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    before = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    opened.click("#theme")
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") != before
