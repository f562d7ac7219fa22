"""A cell of the board traced back: every column has an explanation, and the samples give the board's figure again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hedgefox import cli
from hedgefox.bench import environment, leaderboard
from hedgefox.bench.explain import cell as explain
from hedgefox.bench.explain import sources as _sources
from hedgefox.bench.explain.cell import COLUMNS, IDENTITY, METRICS
from hedgefox.contracts import MisuseError


def test_every_column_that_measures_has_a_formula() -> None:
    assert set(COLUMNS) - {explain.RANK} == set(leaderboard.FIELDS) - set(IDENTITY)
    assert all(c.says and c.formula and c.source for c in COLUMNS.values())


@pytest.mark.parametrize("model", ["linear", "persistence", "drag-1.1", "ballistic"])
def test_samples_give_every_figure_of_a_row_again(finished: Path, model: str) -> None:
    row = next(r for r in leaderboard.rows(finished) if (r["split"], r["model"]) == ("test", model))
    columns = [c for c in COLUMNS if c != METRICS] + [f"{METRICS}/{m}" for m in row[METRICS]]
    for column in columns:
        found = explain.explain(f"ballistic/test/{model}/{column}", finished)
        # Of memory a record keeps one figure and no samples.
        again = {True, None} if column == "peak_memory_bytes" else {True}
        assert found["agrees"] in again, (column, found["value"], found["recomputed"])
        json.dumps(found, allow_nan=False)
        assert explain.tables(found)[0][1][0]["is"] == found["shown"]


def test_it_says_where_a_figure_is_from(finished: Path) -> None:
    found = explain.explain("smoke/ballistic/test/linear/position_rmse_last", finished)
    assert found["cell"]["track"] == "smoke"
    about = found["records"][0]
    assert (about["suite"], about["seeds"]) == (environment.suite_version(), [0])
    assert len(about["data_manifest"]) == 64
    worst = [r["value"] for r in found["evidence"]["scenes, worst first"]]
    assert worst == sorted(worst, reverse=True)
    assert found["value"]["value"] == pytest.approx(sum(worst) / len(worst))


def test_equal_accuracy_names_its_two_settings(finished: Path) -> None:
    found = explain.explain("ballistic/test/linear/speedup_equal_accuracy", finished)
    own = found["evidence"]["contestant"]
    assert own["ratio"] == pytest.approx(found["value"]["value"])
    settings = [r["setting"] for r in found["evidence"]["the simulator's settings"]]
    assert any(name in own["falls"] for name in settings)


def test_a_figure_that_its_samples_do_not_give_fails(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = _copied(finished, tmp_path / "changed")
    record = json.loads((changed / "record.json").read_text())
    for score in record["scores"]:
        score["values"]["position_rmse@1"]["last"]["value"] *= 1.01
    (changed / "record.json").write_text(json.dumps(record))
    cell = "ballistic/test/linear/position_rmse_last"
    assert cli.main(["explain", cell, str(changed)]) == cli.DID_NOT_HOLD
    assert "NOT the board's" in capsys.readouterr().out
    assert cli.main(["explain", cell, str(finished), "--json"]) == cli.OK
    assert json.loads(capsys.readouterr().out)["agrees"] is True


def test_a_record_without_its_curves_is_named(finished: Path, tmp_path: Path) -> None:
    bare = _copied(finished, tmp_path / "bare")
    (bare / "curves.parquet").unlink()
    with pytest.raises(MisuseError, match=r"without its curves"):
        explain.explain("ballistic/test/linear/position_rmse_last", bare)
    assert explain.explain("ballistic/test/linear/latency_ms", bare)["agrees"] is True


def test_curves_are_read_from_beside_the_record_alone(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.parquet").write_bytes((finished / "curves.parquet").read_bytes())
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(MisuseError, match="without its curves"):
        _sources.curves_path(inside, {"curves": "../elsewhere.parquet"})


def _copied(finished: Path, to: Path) -> Path:
    to.mkdir()
    for name in ("record.json", "curves.parquet"):
        shutil.copy(finished / name, to / name)
    return to


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("latency_ms", "is not a cell"),
        ("sand/test/linear/rank", r"no domain 'sand'.*ballistic"),
        ("ballistic/tset/linear/rank", r"no split 'tset'.*long, test"),
        ("ballistic/test/nobody/rank", r"no model 'nobody'.*linear"),
        ("hour/ballistic/test/linear/rank", r"no track 'hour'.*smoke"),
        ("ballistic/test/linear/latency", r"no column 'latency'.*latency_ms"),
        ("ballistic/test/linear/kind", r"no column 'kind'"),
        ("ballistic/test/linear/metrics/chamfer@9", r"no metric 'chamfer@9'.*event_f1@1"),
    ],
)
def test_cells_that_are_not_there_are_refused_with_those_that_are(finished: Path, cell: str, said: str) -> None:
    with pytest.raises(MisuseError, match=said):
        explain.explain(cell, finished)


def test_a_cell_on_two_tracks_is_asked_back(finished: Path, tmp_path: Path) -> None:
    _copied(finished, tmp_path / "a")
    other = _copied(finished, tmp_path / "b")
    record: dict[str, Any] = json.loads((other / "record.json").read_text())
    record["track"]["name"] = "other"
    (other / "record.json").write_text(json.dumps(record))
    with pytest.raises(MisuseError, match=r"several tracks.*other, smoke"):
        explain.explain("ballistic/test/linear/rank", tmp_path)
    assert explain.explain("other/ballistic/test/linear/position_rmse_last", tmp_path)["agrees"] is True
