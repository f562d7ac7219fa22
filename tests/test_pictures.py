"""Pictures: what is drawn comes from records and rows, scenes made again are the recorded ones, and a wrong one is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from hedgefox import simulators
from hedgefox.bench import record
from hedgefox.bench.pictures import architecture, films, physics, records, style
from hedgefox.bench.play.again import require_recorded
from hedgefox.bench.play.run import of_run
from hedgefox.contracts import MisuseError, PhysicsCheck
from hedgefox.contracts.curve import EXPECTED, Curve, line

from .ballistic import BALLISTIC

RECORDED = Path(__file__).parent / "records" / "quick-of-version-1"


@pytest.fixture
def bare(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same run as it is recorded: without its data. The closed-form domain goes by its name."""
    plugged = tmp_path / "simulators"
    plugged.mkdir()
    (plugged / "ballistic.py").write_text("from hedgefox.tests.ballistic import BALLISTIC as DOMAIN\n")
    monkeypatch.setattr(simulators, "__path__", [*simulators.__path__, str(plugged)])
    monkeypatch.delitem(sys.modules, "hedgefox.simulators.ballistic", raising=False)
    shutil.copytree(finished, tmp_path / "bare", ignore=shutil.ignore_patterns("data"))
    return tmp_path / "bare"


def with_record(folder: Path, **changed: object) -> Path:
    held = record.read(folder)
    (folder / "record.json").write_text(json.dumps({**held, **changed}))
    return folder


def test_a_scene_made_again_is_the_one_that_the_run_saw(finished: Path, bare: Path) -> None:
    kept, again = (of_run(folder, "ballistic", "test", ["linear"], "1") for folder in (finished, bare))
    for a, b in zip(kept.shown, again.shown, strict=True):
        torch.testing.assert_close(a.film.position, b.film.position, rtol=0, atol=0)
    found = require_recorded(bare, BALLISTIC, "test", 1, again.shown)
    assert found["linear"][0] == pytest.approx(found["linear"][1], rel=1e-5)


def test_another_scene_than_the_recorded_one_is_refused(bare: Path) -> None:
    other = dict(record.read(bare)["track"])
    choice = of_run(
        with_record(bare, track=other | {"root_seed": other["root_seed"] + 1}), "ballistic", "test", ["linear"], "1"
    )
    with pytest.raises(MisuseError, match=r"linear on scene 1 .* the run recorded"):
        require_recorded(bare, BALLISTIC, "test", 1, choice.shown)


def test_what_cannot_be_made_again_is_refused(bare: Path) -> None:
    with pytest.raises(MisuseError, match="no scene 99; it has 0 to 1"):
        of_run(bare, "ballistic", "test", ["linear"], "99")
    domains = [d | {"generator_version": 0} for d in record.read(bare)["domains"]]
    with pytest.raises(MisuseError, match="generator version 0"):
        of_run(with_record(bare, domains=domains), "ballistic", "test", ["linear"], "1")


def test_a_film_needs_weights(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="keeps weights"):
        films.recorded_run([str(tmp_path)])


def rows() -> list[PhysicsCheck]:
    curve = Curve("t [s]", "x [m]", (line("measured", [0, 1], [0, 2]), line("2 t", [0, 1], [0, 2], role=EXPECTED)))
    return [
        PhysicsCheck("fall: way / 2 t", 1.25, 0.5, 2.0, "1", "1", "a source", curve),
        PhysicsCheck("drift", 0.0, 0.0, 1.0, "m", "0", "another"),
    ]


def test_rows_with_a_curve_are_drawn_to_the_same_bytes_and_put_into_the_page(tmp_path: Path) -> None:
    drawn = physics.draw("x", rows(), tmp_path / "one")
    assert list(drawn) == ["fall: way / 2 t"]
    file = drawn["fall: way / 2 t"]
    assert file.name == "validate-x-fall.svg"
    assert physics.draw("x", rows(), tmp_path / "two")["fall: way / 2 t"].read_bytes() == file.read_bytes()
    page = tmp_path / "x.md"
    page.write_text("before\n" + "\nold\n".join(physics.PLOTS) + "\n" + "\n".join(physics.TABLE) + "\nafter\n")
    physics.write_plots(page, rows(), drawn, "hedgefox validate --plots one")
    physics.write_table(page, rows(), full=False)
    text = page.read_text()
    assert "(one/validate-x-fall.svg)" in text
    assert "measured 1.25, band 0.5 to 2" in text
    assert "| drift | 0 | 0 to 1 | m | 0 | another |" in text
    assert "old" not in text
    assert text.startswith("before")
    assert text.endswith("after\n")
    page.write_text("no marks")
    with pytest.raises(MisuseError, match="lacks the marks"):
        physics.write_table(page, rows(), full=False)


def test_the_diagram_is_refused_where_an_import_goes_the_other_way(tmp_path: Path) -> None:
    architecture.require_order()
    for name in (architecture.BASE, *architecture.FOLDERS):
        (tmp_path / name).mkdir()
    (tmp_path / "simulators" / "x.py").write_text("def f():\n    from ..bench import run\n")
    with pytest.raises(MisuseError, match="simulators/ imports bench/"):
        architecture.require_order(tmp_path)
    assert architecture.imports(tmp_path)["simulators"] == {"bench"}


def test_the_board_is_drawn_from_a_record(tmp_path: Path) -> None:
    board = records.read(RECORDED)
    assert board.track == "quick"
    assert set(board.domains) == {"cloth", "fluid", "rigid"}
    for domain, specialist in (("fluid", "particle_gnn"), ("cloth", "mesh_gnn"), ("rigid", "rigid_gnn")):
        assert films.best_kept(RECORDED, board.record, domain) == ["jepa", specialist]
    drawn = records.drawn(board.of("fluid"))
    assert [name for name, banded in drawn.items() if banded] == ["particle_gnn", "jepa"]
    assert {"linear", "persistence"} <= set(drawn)
    for made in (records.cost(board, tmp_path / "a.svg"), records.over_time(board, tmp_path / "b.svg")):
        assert 10_000 < made.stat().st_size < 200_000
    with pytest.raises(MisuseError, match="no record of track 'nowhere'; it has quick"):
        records.read(RECORDED, "nowhere")


def test_the_palette_is_the_reports() -> None:
    assert len(style.palette()) == 8
    assert style.colour("@0") == style.palette()[0]
