"""The report: what its charts hold, that it stands alone and small, and that whatever a record says is shown as text."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import math
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hedgefox.bench import curves, leaderboard
from hedgefox.bench.pool import read_pooled
from hedgefox.bench.report import board, facts, headline, look, page, report
from hedgefox.bench.report.charts import cost, health, over_time, probes, sizes, speed, transfer, two_by_two
from hedgefox.bench.score import Score
from hedgefox.contracts import MisuseError
from plotly.offline import get_plotlyjs

from .runs import rewritten

RECORDED = Path(__file__).parent / "records" / "quick-of-version-1"
WITH_FILMS = Path(__file__).parent.parent / "results" / "2026-11-23-quick-cpu"
EVIL = "<script>alert(1)</script>"
NEVER = ("<script>alert", "<img src=x", "nan,", "Infinity")
VOID = ("meta", "link", "input", "br", "wbr")


@pytest.fixture(scope="module")
def recorded() -> tuple[list[dict[str, Any]], list[leaderboard.Entry]]:
    """The recorded run of `quick` and its board."""
    read = read_pooled(RECORDED)
    return read, leaderboard.board_of(read)


class Strict(HTMLParser):
    """Collects what a browser would fetch, ids and links, and whether tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.fetched, self.ids, self.rows = list[str](), list[str](), list[str](), 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [v for k, v in attrs if k in ("src", "href") and v]
        self.ids += [v for k, v in attrs if k == "id" and v]
        self.rows += tag == "tr" and any(k == "data-address" for k, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(path: Path) -> Strict:
    made = Strict()
    made.feed(path.read_text())
    assert made.open == []
    return made


def data_of(path: Path) -> dict[str, Any]:
    """What the page's script reads."""
    text = path.read_text()
    start = text.index('id="report-data">') + len('id="report-data">')
    found: dict[str, Any] = json.loads(text[start : text.index("</script>", start)])
    return found


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_fetches_its_own_assets_and_nothing_else(finished: Path) -> None:
    made = finished / "report" / "index.html"
    seen = parsed(made)
    links = [f for f in seen.fetched if f.startswith("#")]
    assert {f[1:] for f in links} <= set(seen.ids)
    assert len(seen.ids) == len(set(seen.ids))
    for name in set(seen.fetched) - set(links) - {"data:,"}:
        assert (made.parent / name).is_file(), name
        assert name.startswith("assets/")
    for own in ("report.css", "report.js"):
        text = (made.parent / "assets" / own).read_text()
        assert "http" not in text
        assert "@import" not in text


def unpacked(script: Path) -> bytes:
    """What a deflated asset holds."""
    _, _, text, _ = script.read_text().rsplit('"', 3)
    return zlib.decompress(base64.b85decode(text))


def test_the_recorded_run_with_its_films_takes_less_than_eight_megabytes(tmp_path: Path) -> None:
    made = report(WITH_FILMS, tmp_path)
    assert sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file()) < 8e6
    kept = {f.stem: f.read_bytes() for f in (WITH_FILMS / "films").glob("*.film")}
    shown = {f.stem.partition("-")[2]: f for f in (tmp_path / "assets" / "films").glob("*.js")}
    assert len(kept) == 45
    assert {name: zlib.decompress(b) for name, b in kept.items()} == {name: unpacked(f) for name, f in shown.items()}
    seen = parsed(made)
    assert seen.rows == len(leaderboard.rows(WITH_FILMS))
    families = data_of(made)["families"]
    for name in ("cost", "over-time", "break-even", "throughput", "probes", "collapse"):
        assert families[name]["charts"], name
    for name in ("two-by-two", "size-law", "transfer"):
        assert families[name]["charts"] == []
    assert "hedgefox run --track sizes" in made.read_text()


def test_plotly_is_the_installed_one_deflated_below_its_licence(finished: Path) -> None:
    script = finished / "report" / "assets" / "plotly.js"
    assert unpacked(script).decode() == get_plotlyjs()
    assert "Licensed under the MIT license" in script.read_text()


def test_every_text_of_a_record_is_shown_as_text(held: dict[str, Any], finished: Path, tmp_path: Path) -> None:
    held["command"], held["versions"]["torch"] = [EVIL], EVIL
    held["failures"] = [{"stage": EVIL, "domain": EVIL, "split": None, "model": EVIL, "seed": None, "error": EVIL}]
    for c in held["contestants"]:
        c["card"]["name"] = c["card"]["name"].replace("persistence", EVIL)
        c["card"]["notes"] = "</script><img src=x onerror=alert(1)>"
    for rows in (held["scores"], held["speed"]):
        for row in rows:
            row["model"] = row["model"].replace("persistence", EVIL)
    rewritten(tmp_path, held)
    changed = [
        Score(s.domain, s.split, s.model.replace("persistence", EVIL), s.seed, s.curves)
        for s in curves.read(finished / held["curves"])
    ]
    curves.write(tmp_path / held["curves"], changed)
    made = report(tmp_path)
    parsed(made)
    text = made.read_text()
    assert all(bad not in text for bad in NEVER)
    assert "&lt;script&gt;alert(1)" in text
    drawn = [t for c in data_of(made)["families"]["over-time"]["charts"] for t in c["data"]]
    assert {t["meta"]["who"] for t in drawn} >= {EVIL}
    assert all("<script" not in t["name"] for t in drawn)


def test_text_for_plotly_has_no_tag_entity_or_template() -> None:
    assert look.label("<b>a</b> &amp; %{x} 50%") == "&lt;b&gt;a&lt;/b&gt; &amp;amp; &#37;&#123;x} 50&#37;"


@pytest.mark.parametrize("name", ["jepa-supervised_specialist", EVIL, "m" * 40, "--_", ""])
def test_long_names_break_after_words_and_lose_nothing(name: str) -> None:
    pieces = look.pieces(name)
    assert "".join(pieces) == name
    assert all(len(p) <= look.WORD + 1 for p in pieces)


def test_embedded_json_cannot_end_its_script() -> None:
    text = look.embedded({"a": ["</script>", math.nan, math.inf, "&", 1.5]})
    assert "<" not in text
    assert json.loads(text) == {"a": ["</script>", None, None, "&", 1.5]}


def test_a_folder_without_records_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"record\.json"):
        report(tmp_path)


# -- odd records -------------------------------------------------------------------------------------------------------


def test_a_record_without_curves_and_timings_says_what_is_missing(held: dict[str, Any], tmp_path: Path) -> None:
    held["curves"], held["speed"] = None, []
    for later in ("probes", "round"):
        held.pop(later, None)
    made = report(rewritten(tmp_path, held))
    parsed(made)
    assert not any(f["charts"] for f in data_of(made)["families"].values())
    assert "curves.parquet" in made.read_text()
    assert "No speed-up at equal accuracy" in made.read_text() or "No learned contestant" in made.read_text()


def test_one_row_makes_a_page(held: dict[str, Any], tmp_path: Path) -> None:
    held["scores"] = held["scores"][:1]
    assert parsed(report(rewritten(tmp_path, held))).rows == 1


def test_a_thousand_rows_make_a_page(held: dict[str, Any], tmp_path: Path) -> None:
    row = next(s for s in held["scores"] if s["model"] == "persistence")
    card = next(c for c in held["contestants"] if c["card"]["name"] == "persistence")
    for k in range(1000):
        held["scores"].append(copy.deepcopy(row) | {"model": f"m{k}"})
        held["contestants"].append({**card, "card": card["card"] | {"name": f"m{k}"}})
    rewritten(tmp_path, held)
    made = report(tmp_path)
    assert parsed(made).rows == len(held["scores"])
    assert made.stat().st_size < 5e6


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, True, "x"])
def test_what_is_no_finite_number_is_missing(value: Any) -> None:
    assert look.finite(value) is None
    assert look.positive(value) is None


# -- the board ---------------------------------------------------------------------------------------------------------


def test_cells_hold_figure_interval_and_place(recorded: tuple[Any, Any]) -> None:
    read, entries = recorded
    found = next(t for t in board.tables(entries, read) if (t.domain, t.split) == ("cloth", "test"))
    mine = next(r for r in found.rows if r.model == "mesh_gnn")
    cells = {c.name: c for c in mine.cells}
    error = next(
        e for e in entries if (e.row["domain"], e.row["split"], e.row["model"]) == ("cloth", "test", "mesh_gnn")
    )
    assert cells["position_rmse_20"].key == error.row["position_rmse_20"]["value"]
    assert re.fullmatch(r"\[.*, .*\]", cells["position_rmse_20"].ends)
    bar = cells["position_rmse_20"].bar
    assert bar is not None
    assert 0 <= bar.left <= bar.value <= bar.left + bar.width <= 100.1
    assert cells["speedup_equal_accuracy"].dominated
    assert cells["speedup_equal_accuracy"].text.startswith("<")
    assert cells["break_even_rollouts"].key == math.inf
    assert mine.address == "quick/cloth/test/mesh_gnn/"


def test_ranks_sort_by_their_first_place(recorded: tuple[Any, Any]) -> None:
    read, entries = recorded
    rows = board.tables(entries, read)[0].rows
    keys = {c.text: c.key for r in rows for c in r.cells if c.name == "rank" and c.key is not None}
    assert all(int(float(k)) == int(re.split("–", text)[0]) for text, k in keys.items())


def test_rows_without_a_place_say_why(recorded: tuple[Any, Any]) -> None:
    read, entries = recorded
    rows = [r for t in board.tables(entries, read) for r in t.rows]
    assert {r.reason for r in rows if r.kind == "reference"} == {"the truth itself"}
    older = dataclasses.replace(entries[-1], comparable="older", rank="–", made="2000")
    last = board.tables([*entries, older], read)[-1].rows[-1]
    assert "another version" in last.reason


# -- the headline ------------------------------------------------------------------------------------------------------


def test_the_headline_says_who_wins_and_whether_it_is_faster(recorded: tuple[Any, Any]) -> None:
    read, entries = recorded
    found = {a.domain: a for a in headline.answers(entries, headline.main_track(read))}
    assert set(found) == {"cloth", "fluid", "rigid"}
    cloth = {s.kind: s for s in found["cloth"].sides}
    assert cloth["specialist"].model == "mesh_gnn"
    assert cloth["specialist"].verdict == "no"
    assert "fem-" in cloth["specialist"].says


@pytest.mark.parametrize(
    ("equal", "verdict"),
    [
        (None, "untimed"),
        ({"value": None, "low": None, "high": None, "flag": "<"}, "untimed"),
        ({"value": 2.0, "low": 1.5, "high": 3.0, "flag": ""}, "yes"),
        ({"value": 2.0, "low": 0.9, "high": 3.0, "flag": ""}, "open"),
        ({"value": 0.5, "low": 0.4, "high": 0.6, "flag": "<", "high_flag": "<"}, "no"),
        ({"value": 0.5, "low": 0.4, "high": 0.6, "flag": ">", "high_flag": ">"}, "open"),
        ({"value": 2.0, "low": 1.5, "high": 3.0, "flag": "<", "low_flag": "<"}, "open"),
    ],
)
def test_a_bound_on_the_wrong_side_decides_nothing(equal: Any, verdict: str) -> None:
    assert headline._verdict(equal)[0] == verdict


# -- the charts --------------------------------------------------------------------------------------------------------


def test_a_front_keeps_what_no_other_betters() -> None:
    assert cost.front([(3, 1), (1, 5), (2, 6), (2, 2), (4, 1)]) == [(1, 5), (2, 2), (3, 1)]


def test_cost_charts_hold_every_timed_contestant(recorded: tuple[Any, Any]) -> None:
    _, entries = recorded
    made = cost.family(entries, look.looks(entries)).charts
    assert {c.title for c in made} == {"cloth", "fluid", "rigid"}
    for c in made:
        timed = {
            e.row["model"] for e in entries if e.speed and e.row["domain"] == c.title and e.row["kind"] != "reference"
        }
        points = {t["meta"]["who"]: t for t in c.data if t["mode"] == "markers"}
        assert set(points) == timed
        assert all(t["x"][0] > 0 and t["y"][0] > 0 for t in points.values())
        assert len(c.layout["shapes"]) == 1


def test_a_reference_with_a_floor_stands_at_it(recorded: tuple[Any, Any]) -> None:
    _, entries = recorded
    floor = {"values": {"observable_error@1": {"mean": {"value": 0.125, "low": 0.1, "high": 0.2}}}, "parts_at": None}
    with_floor = [dataclasses.replace(e, floor=floor) if e.row["split"] == "test" else e for e in entries]
    chart = cost.family(with_floor, look.looks(entries)).charts[0]
    star = next(t for t in chart.data if t["meta"]["kind"] == "reference")
    assert star["y"] == [0.125]
    assert chart.layout["shapes"] == []


def test_a_band_is_quartiles_over_scenes_and_seeds() -> None:
    seeds = [np.array([[0.0, 1.0], [np.nan, np.nan]]), np.array([[2.0, 3.0], [np.nan, np.inf]])]
    assert over_time.band(seeds) == ([1.5, None], [0.75, None], [2.25, None])


def test_over_time_reads_every_curve(finished: Path) -> None:
    read = read_pooled(finished)
    entries = leaderboard.board_of(read)
    charts = over_time.family(read, look.looks(entries)).charts
    chart = next(c for c in charts if c.keys["split"] == "test" and c.keys["error"].startswith("position"))
    lines = {t["meta"]["who"]: t for t in chart.data if "hovertemplate" in t}
    scores = curves.read(finished / read[0]["curves"], split="test", metric="position_rmse@1", model="persistence")
    expected = [look.finite(float(v)) for v in scores[0].curves["position_rmse@1"].mean(1)]
    assert lines["persistence"]["y"] == pytest.approx(expected, rel=1e-3)
    assert len({t["meta"]["who"] for t in chart.data}) == len(lines)


def test_the_floor_is_drawn_at_its_frames() -> None:
    floor = {
        "values": {
            "position_rmse@1": {
                "1": {"value": 0.1},
                "5": {"value": 0.2},
                "20": None,
                "last": {"value": 0.4},
                "mean": {"value": 9},
            }
        }
    }
    (drawn,) = over_time._floor(floor, "position_rmse", 50)
    assert (drawn["x"], drawn["y"]) == ([1, 5, 50], [0.1, 0.2, 0.4])


def test_the_two_by_two_has_four_cells() -> None:
    def cell(value: float) -> list[dict[str, Any]]:
        return [{"model": f"m{value}", "position_rmse": {"value": value, "low": value / 2, "high": 2 * value}}]

    cells = {"one": {"latent": cell(1), "state": cell(2)}, "several": {"latent": cell(3) + cell(5), "state": cell(4)}}
    row = {"track": "t", "domain": "d", "architecture": "a", "cells": cells}
    (chart,) = two_by_two.family([row]).charts
    latent, variants, state = chart.data
    assert (latent["y"], variants["y"], state["y"]) == ([1, 3], [5], [2, 4])
    assert latent["error_y"]["array"] == [1, 3]


def test_a_law_is_drawn_through_its_sizes() -> None:
    error = {"value": 0.1, "low": 0.08, "high": 0.12}
    size = {"model": "m", "parameters": 100, "training_device_seconds": 1.0, "error": error}
    law: dict[str, Any] = {
        "track": "t",
        "domain": "d",
        "family": "m",
        "equal": "data",
        "sizes": [size, size | {"parameters": 10000}],
    }
    law |= {"exponent": {"value": 0.5, "low": 0.4, "high": 0.6}, "scale": 1.0, "floor": 0.0, "residual": 0.0}
    points, line = sizes.family([law], [], {}).charts[0].data
    assert points["x"] == [100, 10000]
    assert (line["x"][0], line["x"][-1]) == (100, 10000)
    assert (line["y"][0], line["y"][-1]) == pytest.approx((0.1, 0.01))


def test_the_matrix_has_a_row_for_what_was_learned() -> None:
    error = {"value": 0.1, "low": 0.08, "high": 0.12}
    said = {"track": "t", "metric": "position_rmse", "frame": 20, "split": "test"}
    rows = [
        said | {"model": m, "learned": ls, "shots": {}, "errors": {"a": error, "b": error}}
        for m, ls in (("x", ["a"]), ("y", ["a", "b"]))
    ]
    breadth = [said | {"domain": "a", "breadth": n, "models": ["x"], "error": error} for n in (2, 1)]
    matrix, by_number = transfer.family({"matrix": rows, "breadth": breadth, "few": []}).charts
    assert matrix.data[0]["y"] == ["x: a", "y: a + b"]
    assert matrix.data[0]["z"] == [[-1, -1], [-1, -1]]
    assert by_number.data[0]["x"] == [1, 2]


def test_probes_below_the_axis_stand_at_its_edge() -> None:
    r2 = {
        "latent": {"value": 0.9, "low": 0.8, "high": 0.95},
        "random encoder": {"value": -7.0, "low": -9, "high": -5},
        "raw state": None,
    }
    row = {"track": "t", "domain": "d", "model": "m", "seed": 0, "quantity": "energy", "r2": r2}
    latent, drawn, raw = probes.family([row]).charts[0].data
    assert latent["x"] == [0.9]
    assert drawn["x"] == [probes.LOWEST]
    assert drawn["text"] == ["-7"]
    assert drawn["error_x"]["array"] == [0]
    assert raw["x"] == []


def test_collapse_monitors_show_their_floors(recorded: tuple[Any, Any]) -> None:
    read, _ = recorded
    made = {c.title: c for c in health.family(read).charts}
    assert len(made) == 4
    deviation = made["deviation of latents"]
    assert {t["meta"]["who"] for t in deviation.data} == {"cloth", "fluid", "rigid"}
    assert deviation.layout["shapes"][0]["x0"] == 0.1


def test_break_even_lines_begin_with_the_costs(recorded: tuple[Any, Any]) -> None:
    _, entries = recorded
    chart = next(c for c in speed.break_even(entries, look.looks(entries)).charts if c.title == "cloth")
    entry = next(e for e in entries if e.speed and e.row["domain"] == "cloth" and e.row["model"] == "jepa")
    assert entry.speed is not None
    own, rival = (t for t in chart.data if t["meta"]["who"] == "jepa")
    costs = sum(entry.speed["break_even"]["costs"].values())
    assert own["y"][0] == pytest.approx(costs + entry.row["latency_ms"] / 1e3, rel=1e-3)
    assert rival["y"][0] == pytest.approx(
        entry.speed["speedup_equal_accuracy"]["value"] * entry.row["latency_ms"] / 1e3, rel=1e-3
    )


def test_throughput_has_a_point_a_batch(recorded: tuple[Any, Any]) -> None:
    _, entries = recorded
    for chart in speed.throughput(entries, look.looks(entries)).charts:
        assert {x for t in chart.data for x in t["x"]} == {1, 4}


# -- one look everywhere -----------------------------------------------------------------------------------------------


def test_learned_contestants_are_told_apart(recorded: tuple[Any, Any]) -> None:
    _, entries = recorded
    found = look.looks(entries)
    learned = [(v.colour, v.symbol, v.dash) for v in found.values() if v.kind in look.LEARNED]
    assert len(set(learned)) == len(learned)
    many = [look._learned(k, "specialist") for k in range(2 * look.COLOURS)]
    assert len({(m.colour, m.symbol) for m in many}) == len(many)


def test_facts_tell_stages_over_their_budget(held: dict[str, Any]) -> None:
    held["stages"] = [{"name": "train", "seconds": 9.0, "budget": 5}, {"name": "score", "seconds": 9.0, "budget": None}]
    made = facts.of(held | {"folders": ["/somewhere/run"]})
    assert made.stages == [("train", "9.0 s", "5 s", True), ("score", "9.0 s", "–", False)]
    assert made.about["from"] == "run"


def test_every_family_has_a_place_on_the_page(finished: Path) -> None:
    read = read_pooled(finished)
    entries = leaderboard.board_of(read)
    families = page.charts(finished, read, entries, look.looks(entries))
    seen = parsed(finished / "report" / "index.html")
    assert {f.id for f in families} <= set(seen.ids)
    assert len(families) == 9
