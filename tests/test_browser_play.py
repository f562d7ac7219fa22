"""The player in a headless Chromium, from disk: it plays, scrubs, overlays and recolours, and says nothing on the console."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox.bench.play import page
from hedgefox.bench.play.film import Shown, player_data
from hedgefox.bench.show.player import Player
from hedgefox.contracts import Trajectory

from . import particles, sheets, solids

pytestmark = pytest.mark.browser
FILMS = {"fluid": particles, "cloth": sheets, "rigid": solids}
FRAMES = 12
HOSTILE = "</script><script>document.title='owned'</script>"
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright: make test-browser installs it")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("needs chromium (Debian: apt-get install chromium), or CHROMIUM=its path")
    with driver.sync_playwright() as started:
        found = started.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield found
        found.close()


def shifted(film: Trajectory, by: float) -> Trajectory:
    """A contestant that drifts away."""
    drift = by * torch.arange(film.n_frames).view(-1, 1, 1) / film.n_frames
    pose = None if film.pose is None else film.pose + torch.nn.functional.pad(drift.expand(-1, 1, 3), (0, 4))
    return dataclasses.replace(film, position=film.position + drift, pose=pose)


def page_of(domain: str, folder: Path) -> Path:
    truth = FILMS[domain].film(1, FRAMES)
    late = dataclasses.replace(truth, position=truth.position.clone())
    late.position[8:] = torch.nan
    shown = [
        Shown("truth", "truth", truth),
        Shown(HOSTILE, "baseline", shifted(truth, 0.2)),
        Shown("late", "baseline", late),
    ]
    return page.write(folder / "page.html", [player_data(f"{domain} {HOSTILE}", shown)])


class Opened:
    """A page in the browser, its player, and what it complained of."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.page = browser.new_context(**context).new_page()
        self.said: list[str] = []
        self.page.on("console", lambda m: self.said.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.said.append(str(e)))
        self.page.on(
            "request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else self.said.append(r.url)
        )
        self.page.goto(path.as_uri())
        self.page.wait_for_function("document.querySelector('[data-hedgefox-player]').hedgefoxPlayer.spent.draws > 0")

    def player(self, what: str) -> Any:
        return self.page.evaluate(f"(p => {what})(document.querySelector('[data-hedgefox-player]').hedgefoxPlayer)")

    def picture(self) -> bytes:
        """The panels as they look, once what was asked for is drawn."""
        self.page.wait_for_function(
            "(p => !p.stale && !p.dirty)(document.querySelector('[data-hedgefox-player]').hedgefoxPlayer)"
        )
        taken: bytes = self.page.locator(".panels").screenshot()
        return taken


@pytest.mark.parametrize("domain", FILMS)
def test_a_player_scrubs_overlays_recolours_and_turns_in_silence(browser: Any, domain: str, tmp_path: Path) -> None:
    opened = Opened(browser, page_of(domain, tmp_path))
    seen = [opened.picture()]
    opened.page.locator("input[type=range]").fill("5")
    seen.append(opened.picture())
    opened.page.get_by_role("button", name="overlay the truth").click()
    seen.append(opened.picture())
    opened.page.get_by_label("colour by").select_option("error")
    seen.append(opened.picture())
    opened.page.locator(".panels").focus()
    opened.page.keyboard.press("+" if domain == "fluid" else "Shift+ArrowLeft")
    seen.append(opened.picture())
    assert len(set(seen)) == len(seen)
    assert "distance from the truth" in opened.page.locator(".legend").inner_text()
    assert opened.said == []


def test_a_film_plays_and_stops_by_the_keyboard(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, page_of("cloth", tmp_path))
    before = opened.picture()
    opened.page.locator(".panels").focus()
    opened.page.keyboard.press("Space")
    opened.page.wait_for_function("document.querySelector('[data-hedgefox-player]').hedgefoxPlayer.spent.updates > 3")
    opened.page.keyboard.press("Space")
    assert not opened.player("p.playing")
    opened.page.keyboard.press("End")
    assert opened.player("p.frame") == FRAMES - 1
    assert opened.picture() != before
    opened.page.keyboard.press("ArrowLeft")
    assert opened.player("p.frame") == FRAMES - 2


def test_a_diverged_film_vanishes_and_says_so(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, page_of("rigid", tmp_path))
    mark = opened.page.get_by_text("diverged at frame 8")
    assert not mark.is_visible()
    opened.player("p.show(8)")
    opened.picture()
    assert mark.is_visible()
    assert opened.player("p.drawn[2].matter.objects.every((o) => !o.visible)")
    assert opened.player("p.drawn[0].matter.objects.every((o) => o.visible)")


def test_hostile_names_are_text(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, page_of("fluid", tmp_path))
    assert opened.page.title() == f"fluid {HOSTILE}"
    assert HOSTILE in opened.page.locator(".panels").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_scrolling_sideways(browser: Any, scheme: str, tmp_path: Path) -> None:
    opened = Opened(browser, page_of("cloth", tmp_path), viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert opened.page.locator(".diverged:visible").count() == 0
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert opened.said == []


@pytest.mark.parametrize(("ground", "scheme", "name"), [("#111", "light", "dark"), ("#fff", "dark", "light")])
def test_a_player_in_a_notebook_is_dark_where_the_notebook_is(
    browser: Any, tmp_path: Path, ground: str, scheme: str, name: str
) -> None:
    """Whatever the system prefers; a page that was exported dark is dark everywhere."""
    made = Player(player_data("cloth", [Shown("truth", "truth", sheets.film(1, FRAMES))]))
    path = tmp_path / "notebook.html"
    path.write_text(f'<!doctype html><body style="background:{ground}"><div>{made._repr_html_()}</div></body>')
    shown = browser.new_context(color_scheme=scheme).new_page()
    shown.goto(path.as_uri())
    inside = "document.querySelector('iframe').contentDocument"
    shown.wait_for_function(f"{inside}.documentElement.dataset.theme === '{name}'")
    found = shown.evaluate(f"""(d => [getComputedStyle(d.body).backgroundColor, getComputedStyle(document.body).backgroundColor,
        getComputedStyle(d.querySelector('.hedgefox-player')).color])({inside})""")
    assert found[0] == found[1]
    bright = sum(int(c) for c in re.findall(r"\d+", found[2])[:3]) > 3 * 127
    assert bright == (name == "dark")
