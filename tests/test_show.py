"""What the functions of the Python API give back: text, HTML, pandas, figures, players. The examples and docs/api.md run."""

from __future__ import annotations

import copy
import html
import json
import os
import re
import runpy
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import hedgefox as hf
import pandas as pd
import pytest
import torch
from hedgefox.bench import record as records
from hedgefox.bench.show import charts, things
from hedgefox.bench.show.player import Player
from hedgefox.bench.show.render import MOST_PARTS, MOST_ROWS, Part, text
from hedgefox.bench.show.table import Table, plain
from hedgefox.bench.show.things import Comparison, Dataset, Page, Results, Trained
from hedgefox.contracts import Trajectory

ROOT = Path(hf.__file__).parent
QUICK = ROOT / "tests" / "records" / "quick-of-version-1"
HOSTILE = "<script>alert(1)</script>|`\x1b[31m\n%{x}&amp;\u202e"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the main example leaves behind, its folder among it; the rest of the module runs beside its data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("example"))
        yield runpy.run_path(str(ROOT / "examples" / "from_data_to_board.py"))


class Reader(HTMLParser):
    """The tags of a piece of HTML, and its text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.places: list[str] = []
        self.text = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.places += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def markup(thing: Any) -> Reader:
    return Reader(thing._repr_html_())


# -- the example -------------------------------------------------------------------------------------------------------


def test_the_example_goes_from_data_to_a_board(ran: dict[str, Any]) -> None:
    data, network, scores = ran["data"], ran["network"], ran["scores"]
    assert isinstance(data, Dataset)
    assert data.counts == {"train": 4, "valid": 2, "test": 2, "long": 1}
    assert isinstance(network, Trained)
    assert network.card.training_data == data.manifest
    assert isinstance(scores, Results)
    assert not scores["failures"]
    assert {row["model"] for row in ran["board"]} >= {"particle_gnn", "sph-dx2", "constant_velocity", "persistence"}
    assert len(ran["player"].data["films"]) == 3
    assert Path("from_data_to_board/results/report/index.html").is_file()
    assert Path("from_data_to_board/films.html").stat().st_size > 500_000


def test_everything_reads_as_text_and_as_html(ran: dict[str, Any]) -> None:
    shown = [ran[name] for name in ("data", "network", "scores", "times", "board", "comparison", "player")]
    for thing in [*shown, hf.verify(ran["data"]), hf.claims("from_data_to_board/results")]:
        assert str(thing) == repr(thing)
        assert len(str(thing)) > 20
        assert "object at 0x" not in str(thing)
        assert Reader(thing._repr_html_()).tags
    for thing in (ran["scores"], ran["board"], ran["comparison"]):
        assert "particle_gnn" in str(thing)
        assert "particle_gnn" in markup(thing).text
    assert "40" in str(ran["network"])


def test_folders_go_wherever_a_path_does(ran: dict[str, Any]) -> None:
    for thing in (ran["data"], ran["network"], ran["scores"], hf.load(ran["network"]), hf.load(ran["scores"])):
        assert Path(thing).is_dir()
        assert os.fspath(thing) == str(thing.folder)
    assert (ran["data"] / "manifest.jsonl").is_file()
    assert json.loads((ran["scores"] / "record.json").read_text())["scores"] == ran["scores"]["scores"]
    assert isinstance(hf.load(ran["data"]), Dataset)
    assert isinstance(hf.load(ran["network"]), Trained)
    assert hf.load(ran["data"], "test").scene.n_scenes == 2
    with pytest.raises(hf.MisuseError, match=r"no record\.json under"):
        hf.load(ran["data"] / "..")


def test_a_training_may_be_scored_as_a_folder_as_an_object_and_alone(ran: dict[str, Any]) -> None:
    network, data = ran["network"], ran["data"]
    made = [hf.score(model, data, splits=["test"])["scores"] for model in (network, network.model)]
    assert made[0] == made[1]
    with pytest.raises(hf.MisuseError, match="give out=FOLDER"):
        hf.score("persistence", data, splits=["test"]).figure()
    again = hf.train("particle_gnn", {"fluid": data.folder}, hf.track("smoke"), out=network.folder)
    assert again.card == network.card


def test_one_film_is_read_without_the_others(ran: dict[str, Any]) -> None:
    whole = hf.load(ran["data"], "test")
    for k in range(2):
        assert torch.equal(ran["data"].film("test", k).position, whole.select([k]).position)
    for wrong in (2, -1):
        with pytest.raises(hf.MisuseError, match=rf"no trajectory {wrong} in test; it has 0 to 1"):
            ran["data"].film("test", wrong)


def test_a_data_set_shows_its_splits_and_pictures_without_a_script(ran: dict[str, Any]) -> None:
    found = markup(ran["data"])
    assert found.tags.count("img") == 3
    assert "script" not in found.tags
    frame = ran["data"].to_pandas()
    assert frame.set_index("split")["frames"].to_dict() == {"train": 17, "valid": 17, "test": 17, "long": 29}
    assert frame["bytes"].gt(0).all()


def test_the_log_of_a_training_is_a_table_and_a_figure(ran: dict[str, Any]) -> None:
    frame = ran["network"].to_pandas("log")
    figure = ran["network"].figure()
    assert list(figure.data[0].y) == frame["loss"].dropna().tolist()
    with pytest.raises(hf.MisuseError, match="no table 'lag'; one of card, log"):
        ran["network"].to_pandas("lag")


def test_sound_data_have_no_problems_and_broken_ones_are_named(ran: dict[str, Any], tmp_path: Path) -> None:
    assert not hf.verify(ran["data"])
    assert "is sound" in str(hf.verify(ran["data"]))
    made = hf.generate("fluid", "smoke", tmp_path, splits=["valid"])
    path = next(made.folder.glob("valid*.h5"))
    path.write_bytes(path.read_bytes()[:-1])
    found = hf.verify(made)
    assert [row["path"] for row in found] == [path.name]
    assert path.name in markup(found).text


# -- docs --------------------------------------------------------------------------------------------------------------


def test_the_snippets_of_the_api_page_work_as_printed(
    ran: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside copies of the example's data and weights, which the same calls go on from."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    snippets = [block.split("\n```", 1)[0] for block in page.split("```python\n")[1:]]
    assert len(snippets) == 3
    shutil.copytree(ran["data"].folder.parent, tmp_path / "data")
    shutil.copytree(ran["network"].folder, tmp_path / "weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        held: dict[str, Any] = {}
        for snippet in snippets:
            exec(snippet, held)
    assert re.search(r"sph-dx2: 0\.\d{3} m \[0\.\d{3}, 0\.\d{3}\]", capsys.readouterr().out)
    assert (tmp_path / "film.html").is_file()
    functions = set(re.findall(r"^\| `(\w+)\(", page, re.MULTILINE))
    assert functions <= set(hf.__all__)
    assert {"generate", "load", "train", "score", "speed", "run", "play", "verify", "validate", "report"} <= functions


@pytest.mark.long
@pytest.mark.parametrize("name", ["enter_your_model", "what_if_siblings"])
def test_the_other_examples_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"))
    said = capsys.readouterr().out
    assert {"enter_your_model": "falls_to_the_floor", "what_if_siblings": "viscosity"}[name] in said
    assert "simulator's own" in said or name != "enter_your_model"


def test_examples_are_notebooks() -> None:
    for path in sorted((ROOT / "examples").glob("*.py")):
        cells = path.read_text(encoding="utf-8").split("# %%")[1:]
        assert cells[0].startswith(" [markdown]\n# # "), path.name
        for cell in cells:
            kind, _, body = cell.partition("\n")
            if kind == " [markdown]":
                assert all(line.startswith("#") for line in body.strip().splitlines()), path.name
            else:
                compile(body, path.name, "exec")


# -- tables ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def board() -> Table:
    return hf.leaderboard(QUICK)


def test_a_board_as_a_data_frame_has_typed_columns(board: Table) -> None:
    frame = board.to_pandas()
    assert len(frame) == len(board) == len({(r["domain"], r["split"], r["model"]) for r in board})
    for name in (
        "position_rmse_20",
        "position_rmse_20_low",
        "position_rmse_20_high",
        "speedup_equal_accuracy_low",
        "latency_ms",
    ):
        assert frame[name].dtype == "float64", name
    assert frame["rank_low"].dtype == frame["parameters"].dtype == "Int64"
    assert frame["speedup_equal_accuracy_dominated"].dtype == "boolean"
    assert not [n for n in frame if frame[n].map(lambda v: isinstance(v, dict | list)).any()]
    ranked = frame[frame["rank_low"].notna() & frame["position_rmse_20"].notna()]
    assert (ranked["position_rmse_20_low"] <= ranked["position_rmse_20"]).all()
    assert (ranked["position_rmse_20"] <= ranked["position_rmse_20_high"]).all()
    assert (ranked["rank_low"] <= ranked["rank_high"]).all()
    units = frame.attrs["units"]
    assert units["position_rmse_20_high"] == "m"
    assert units["latency_ms"] == "ms"
    assert set(units) <= set(frame)
    assert {"metrics/chamfer@1", "metrics/chamfer@1_low", "metrics/chamfer@1_high"} <= set(frame)


def test_a_data_frame_says_what_the_record_says(board: Table) -> None:
    frame = board.to_pandas().set_index(["domain", "split", "model"])
    held = records.read(QUICK)
    rows = [
        s
        for s in held["scores"]
        if "20" in s["values"].get("position_rmse@1", {}) and s["values"]["position_rmse@1"]["20"]
    ]
    assert len(rows) > 50
    for score in rows:
        at: Any = (score["domain"], score["split"], score["model"])
        assert frame["position_rmse_20"][at] == score["values"]["position_rmse@1"]["20"]["value"]


def test_a_board_is_narrowed_and_says_what_it_does_not_have() -> None:
    rows = hf.leaderboard(QUICK, domain="cloth", split="test")
    assert {(r["domain"], r["split"]) for r in rows} == {("cloth", "test")}
    assert len(markup(rows).tags) > 50
    with pytest.raises(hf.MisuseError, match="no split 'nowhere'; one of"):
        hf.leaderboard(QUICK, split="nowhere")


def check_tables(found: Comparison) -> None:
    assert found.tables
    for name, table in found.tables.items():
        assert len(found.to_pandas(name)) == len(table) > 0
    assert found.to_pandas().equals(found.table().to_pandas())


def test_every_table_of_a_comparison_is_a_data_frame(ran: dict[str, Any]) -> None:
    check_tables(ran["comparison"])
    found = hf.compare(ran["scores"], ran["scores"])
    check_tables(found)
    assert found["verdicts"]
    with pytest.raises(hf.MisuseError, match="no figure in common"):
        found.figure()


@pytest.mark.long
def test_every_table_of_a_survey_is_a_data_frame() -> None:
    found = hf.compare(QUICK)
    check_tables(found)
    assert "jepa" in str(found)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 3], "Int64"),
        ([1, 2.5, None], "float64"),
        ([None, None], "float64"),
        ([float("nan"), float("inf")], "float64"),
        ([True, None], "boolean"),
        (["a", None], "string"),
        (["a", 1], "string"),
    ],
)
def test_columns_are_typed_by_what_they_hold(values: list[Any], kind: str) -> None:
    frame = plain("t", [{"x": v} for v in values]).to_pandas()
    assert frame["x"].dtype == kind
    assert frame["x"].isna().tolist() == [v is None or v != v for v in values]


def test_estimates_become_columns_also_where_none_is_there() -> None:
    inner = {"value": 2.0, "low": 1.0, "high": 3.0}
    rows = (
        {"e": None, "f": {"value": 1.0, "low": None, "high": None, "flag": "<", "by_frame": {"20": inner}}},
        {"e": None, "f": None},
    )
    frame = Table("t", rows, (), estimates=("e",)).to_pandas()
    by_frame = [f"f_by_frame/20{end}" for end in ("", "_low", "_high")]
    assert list(frame) == ["e", "e_low", "e_high", "f", "f_low", "f_high", "f_flag", *by_frame]
    assert frame[by_frame].iloc[0].tolist() == [2.0, 1.0, 3.0]
    assert frame["f"].isna().tolist() == [False, True]
    assert pd.isna(frame["f_flag"][1])


def test_long_tables_are_shown_in_part_and_kept_whole() -> None:
    rows = [{"n": k} for k in range(MOST_ROWS + 940)]
    table = plain("many", rows)
    assert len(table.to_pandas()) == len(rows)
    for said in (str(table), markup(table).text):
        assert "… and 940 more rows" in said
    assert markup(table).tags.count("tr") == MOST_ROWS + 1
    parts = [Part(f"part {k}", ("n",), (("1",),)) for k in range(MOST_PARTS + 3)]
    assert "… and 3 more tables" in text("", parts)
    assert "none" in str(plain("none", []))


def test_columns_of_text_line_up_whatever_they_hold() -> None:
    table = plain("t", [{"name": "a", "n": 1.0}, {"name": "日本語", "n": -22.5}, {"name": HOSTILE, "n": None}])
    lines = str(table).splitlines()
    assert len(lines) == 6, "no cell begins a line of its own"
    assert "\x1b" not in str(table)
    assert "\u202e" not in str(table)


def test_names_are_text_everywhere(tmp_path: Path) -> None:
    held = copy.deepcopy(records.read(QUICK))
    renamed = json.loads(json.dumps(held).replace('"particle_gnn"', json.dumps(HOSTILE)))
    results = Results(({**renamed, "folders": []},))
    comparison = things.Comparison({"a": HOSTILE, "b": "jepa", "differ": {}, "rows": [], "costs": [], "training": []})
    problem = plain(f"1 problem in {HOSTILE}", [{"path": HOSTILE, "what": HOSTILE}])
    for thing in (results, results.board, comparison, problem, Page(tmp_path / HOSTILE.replace("/", ""))):
        found = markup(thing)
        assert "script" not in found.tags
        assert "alert(1)" in found.text
        assert "\x1b" not in str(thing) or isinstance(thing, Page)
    figure = results.figure("cost", domain="fluid")
    named = [text for t in figure.data for text in (t.name, t.legendgroup)]
    assert any("alert(1)" in text for text in named)
    assert not any("<" in text or "%{" in text for text in named)


# -- figures -----------------------------------------------------------------------------------------------------------


def test_a_figure_shows_the_numbers_of_the_report() -> None:
    held = hf.load(QUICK)
    assert isinstance(held, Results)
    assert set(held.figures) >= {"over_time", "cost", "throughput"}
    figure = held.figure("cost", error="position RMSE at frame 20 [m]")
    frame = hf.leaderboard(QUICK, split="test", domain="cloth").to_pandas().set_index("model")
    points = {t.meta["who"]: (t.x[0], t.y[0]) for t in figure.data if t.mode == "markers" and t.xaxis == "x"}
    assert {"jepa", "mesh_gnn", "persistence"} <= set(points)
    for model, (x, y) in points.items():
        if frame.loc[model, "kind"] != "reference":
            assert x == pytest.approx(frame.loc[model, "latency_ms"], rel=1e-3)
            assert y == pytest.approx(frame.loc[model, "position_rmse_20"], rel=1e-3)


def test_a_figure_is_narrowed_and_names_what_there_is(ran: dict[str, Any]) -> None:
    held = ran["scores"]
    pair = ran["comparison"].figure(domain="fluid", split="long")
    assert {t.meta["who"] for t in pair.data if t.meta} == {"particle_gnn", "constant_velocity"}
    assert sum(bool(t.showlegend) for t in pair.data) == 2
    for wrong, why in (
        ({"name": "nonsense"}, "no figure 'nonsense'; one of over_time"),
        ({"split": "nonsense"}, "no chart has the split 'nonsense'; one of long, test is right"),
        ({"colour": "red"}, "know no 'colour'"),
        ({"models": ["nobody"]}, "no model 'nobody'"),
    ):
        with pytest.raises(hf.MisuseError, match=why):
            held.figure(**wrong)


def luminance(colour: str) -> float:
    """Relative luminance of a colour #rrggbb (WCAG 2.1)."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("ground", ["#ffffff", "#111111", "#1e1e1e"])
def test_colours_of_figures_have_contrast_on_light_and_on_dark(ground: str) -> None:
    for colour in (*charts.PALETTE, *charts.NAMED.values()):
        high, low = sorted((luminance(colour), luminance(ground)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 3, colour


def test_only_colours_are_painted() -> None:
    held = charts.painted({"marker": {"color": "@1"}, "fillcolor": "@0/0.5", "name": "@3", "line": {"color": ["@fg"]}})
    assert held == {
        "marker": {"color": charts.PALETTE[1]}, "fillcolor": "rgba(31,136,204,0.5)", "name": "@3", "line": {"color": ["@fg"]},
    }  # fmt: skip


# -- films -------------------------------------------------------------------------------------------------------------


def test_a_film_prints_as_one_line(film: Trajectory) -> None:
    assert re.fullmatch(r"Trajectory\(ballistic: 3 scenes of \d+ nodes in 2D, 13 frames of 0.02 s on cpu\)", repr(film))
    broken = film.position.clone()
    broken[3, 0] = torch.nan
    lost = Trajectory(film.scene, broken, film.velocity).with_divergence()
    assert ", 1 diverged)" in repr(lost)


def test_a_player_is_whole_in_a_frame_of_its_own(film: Trajectory) -> None:
    player = hf.play(film, film, names=["truth", HOSTILE], colour="error", title=HOSTILE)
    found = Reader(player._repr_html_())
    assert found.tags == ["iframe"]
    inside = html.unescape(player._repr_html_().split('srcdoc="', 1)[1].rsplit('" style="', 1)[0])
    assert inside.count("data-hedgefox-player") >= 1
    assert "alert(1)</script>" not in inside
    assert all(place.startswith("data:") for place in Reader(inside).places), "nothing is fetched"
    assert "\n" not in repr(player)


@pytest.mark.parametrize(
    ("arguments", "options", "why"),
    [
        (0, {}, "nothing to play"),
        (2, {"names": ["one"]}, "1 names for 2 films"),
        (1, {"scene": "worst"}, "belong to a run"),
        (1, {"scene": 9}, "has no scene 9"),
        (1, {"split": "test"}, "split belongs to a run or a data set"),
        (1, {"colour": "red"}, "colour 'red' is unknown"),
    ],
)
def test_what_cannot_be_played_is_told(film: Trajectory, arguments: int, options: dict[str, Any], why: str) -> None:
    with pytest.raises(hf.MisuseError, match=why):
        hf.play(*[film] * arguments, **options)


def test_films_and_folders_are_not_mixed(film: Trajectory, ran: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(hf.MisuseError, match="cannot be played together"):
        hf.play(film, ran["data"])
    with pytest.raises(hf.MisuseError, match="names belong to films in memory"):
        hf.play(ran["data"], names=["x"])
    stored = hf.play(ran["data"], split="test", scene=1)
    assert isinstance(stored, Player)
    again = hf.play(ran["data"].film("test", 1))
    assert stored.data["films"][0]["position"] == again.data["films"][0]["position"]
    assert stored.png(tmp_path / "a.png").is_file()


# -- showing -----------------------------------------------------------------------------------------------------------


def test_show_prints_where_there_is_no_notebook(board: Table, capsys: pytest.CaptureFixture[str]) -> None:
    hf.show(
        hf.leaderboard(QUICK, domain="fluid", split="test"), hf.load(QUICK).figure("cost"), board.to_pandas().head(2)
    )
    said = capsys.readouterr().out
    assert "particle_gnn" in said
    assert "figure: Error against cost" in said
    assert "throughput_nodes_per_s" in said, "no column is left out"


def test_validate_is_a_table() -> None:
    from .ballistic import BALLISTIC

    table = hf.validate(BALLISTIC)
    assert [row["holds"] for row in table] == [check.holds for check in BALLISTIC.validate()]
    assert table.to_pandas()["holds"].dtype == "boolean"
