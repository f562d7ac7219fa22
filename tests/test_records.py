"""Records, the board and the report: strict, versioned, made again from disk; and a whole run that resumes."""

from __future__ import annotations

import copy
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hedgefox import cli
from hedgefox.bench import alike, board_text, compare, curves, environment, leaderboard
from hedgefox.bench import record as records
from hedgefox.bench import run as run_module
from hedgefox.bench import score as scoring
from hedgefox.bench._stages import score_stage, stage
from hedgefox.bench.run import OOD_RUNGS, run
from hedgefox.bench.score import Score, score_case
from hedgefox.bench.verbs import score, speed
from hedgefox.contracts import Domain, MisuseError, Track

from .runs import rewritten


@pytest.fixture(scope="module")
def finished(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run: here some run into its folder again."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("copy") / "run"))


# -- the record --------------------------------------------------------------------------------------------------------


def test_a_run_records_what_it_takes_to_repeat_it(held: dict[str, Any], tiny: Track) -> None:
    assert held["suite"]["version"] == environment.suite_version()
    assert held["track"]["training_steps"] == tiny.training_steps
    assert held["domains"][0]["generator_version"] == 1
    assert re.fullmatch("[0-9a-f]{64}", held["domains"][0]["data_manifest"])
    assert {m["id"] for m in held["metrics"]} >= {"position_rmse@1", "event_f1@1"}
    assert held["environment"]["cores"] >= 1
    assert held["environment"]["timing_torch_threads"] == 1
    assert held["versions"]["torch"]
    assert not held["failures"]
    assert {s["name"] for s in held["stages"]} == {"generate", "train", "score", "floor", "speed"}
    for entry in held["speed"]:
        assert len(entry["latency"]["samples_s"]) == tiny.timing_samples
    names = {(c["card"]["name"], c["card"]["kind"]) for c in held["contestants"]}
    assert ("ballistic", "reference") in names
    assert sum(kind == "ladder" for _, kind in names) == 8
    assert any(kind == "baseline" for _, kind in names)


def test_all_rungs_are_scored_on_test_and_few_out_of_distribution_and_few_timed(
    held: dict[str, Any], tiny: Track
) -> None:
    def rungs(rows: Any) -> int:
        return sum(r["kind"] == "ladder" for r in rows)

    assert rungs(r for r in held["scores"] if r["split"] == "test") == 8
    assert rungs(r for r in held["scores"] if r["split"] == "long") == OOD_RUNGS == 1
    assert rungs(held["speed"]) == tiny.timed_rungs
    assert "reference" in {s["kind"] for s in held["speed"]}


def test_numbers_can_be_made_again_from_the_curves(finished: Path, held: dict[str, Any]) -> None:
    kept = {(s.split, s.model): s for s in curves.read(finished / held["curves"])}
    for row in held["scores"]:
        curve = kept[row["split"], row["model"]].curves["position_rmse@1"]
        assert row["values"]["position_rmse@1"]["last"]["value"] == pytest.approx(float(curve[-1].mean()), rel=1e-12)


def test_json_is_strict(finished: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    json.loads((finished / "record.json").read_text(), parse_constant=refuse)
    assert records.strict({"a": [float("nan"), 1.0, float("inf")]}) == {"a": [None, 1.0, None]}


@pytest.mark.parametrize("name", ["suite", "track", "metrics", "scores", "failures", "versions"])
def test_a_record_without_a_part_is_refused(held: dict[str, Any], name: str, tmp_path: Path) -> None:
    del held[name]
    with pytest.raises(MisuseError, match=name):
        records.read(rewritten(tmp_path, held))


def test_a_record_with_a_wrong_part_is_refused_with_its_place(held: dict[str, Any], tmp_path: Path) -> None:
    held["speed"][0]["latency"]["samples_s"] = []
    with pytest.raises(MisuseError, match=r"\$\.speed\[0\]\.latency\.samples_s"):
        records.read(rewritten(tmp_path, held))
    with pytest.raises(MisuseError, match="samples_s"):
        records.write(tmp_path, held)


def test_another_version_is_named_beside_ours(held: dict[str, Any], tmp_path: Path) -> None:
    held["version"] = 99
    with pytest.raises(MisuseError, match=rf"99.*{records.VERSION}"):
        records.read(rewritten(tmp_path, held))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "else"}', "\x00\xff"])
def test_foreign_files_are_refused_by_name(content: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(MisuseError, match=r"record\.json"):
        records.read(tmp_path)


def test_folders_without_records_are_misuse(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"no record\.json"):
        leaderboard.rows(tmp_path)
    with pytest.raises(MisuseError, match="not a folder"):
        leaderboard.rows(tmp_path / "none")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records.write_text(tmp_path / "a", "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        records.write_text(tmp_path / "a", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


# -- the board ---------------------------------------------------------------------------------------------------------


def test_rows_have_exactly_the_published_fields(finished: Path) -> None:
    rows = leaderboard.rows(finished)
    assert rows
    for row in rows:
        assert tuple(row) == leaderboard.FIELDS
        timed = row["latency_ms"] is not None and row["kind"] != "reference"
        assert (row["speedup_equal_accuracy"] is not None) == timed
        if timed:
            assert {"value", "low", "high", "flag", "dominated"} <= set(row["speedup_equal_accuracy"])
        assert row["position_rmse_50"] is None, "the horizon is 8 frames"
        assert set(row["position_rmse_last"]) == {"value", "low", "high", "iqm", "p90"}
        assert "position_rmse@1" not in row["metrics"]
        assert set(row["metrics"]["velocity_rmse@1"]) == {"value", "low", "high", "iqm", "p90"}
    json.dumps(rows, allow_nan=False)


def test_what_data_took_to_make_does_not_part_records(held: dict[str, Any]) -> None:
    other = copy.deepcopy(held)
    for about in other["domains"]:
        about["training_data_seconds"] = 123.0
    a, b = (leaderboard.board_of([r])[0].comparable for r in (held, other))
    assert a == b


def test_the_board_is_sorted_and_ranked_with_the_reference_apart(finished: Path) -> None:
    entries = [e for e in leaderboard.board(finished) if e.row["split"] == "test"]
    errors = [e.row["position_rmse_last"]["value"] for e in entries]
    assert errors == sorted(errors)
    assert (entries[0].row["kind"], entries[0].rank) == ("reference", "–")
    assert entries[1].rank == "1"
    assert entries[1].row["model"] == "drag-1.01"


def with_errors(held: dict[str, Any], spans: dict[str, tuple[float, float, float]]) -> dict[str, Any]:
    held["scores"] = [r for r in held["scores"] if r["split"] == "test" and r["model"] in spans]
    for row in held["scores"]:
        value, low, high = spans[row["model"]]
        row["values"]["position_rmse@1"]["20"] = {"value": value, "low": low, "high": high}
    return held


def test_overlapping_intervals_share_places(held: dict[str, Any]) -> None:
    spans = {"drag-1.01": (1.0, 0.9, 1.1), "drag-1.03": (1.2, 1.05, 1.3), "drag-1.1": (2.0, 1.9, 2.1)}
    entries = leaderboard.board_of([with_errors(held, spans)])
    assert [(e.row["model"], e.rank) for e in entries] == [
        ("drag-1.01", "1–2"), ("drag-1.03", "1–2"), ("drag-1.1", "3"),
    ]  # fmt: skip


def test_what_one_scene_alone_says_is_not_ranked(finished: Path) -> None:
    assert {e.rank for e in leaderboard.board(finished) if e.row["split"] == "long"} == {"–"}


@pytest.mark.parametrize("what", ["suite", "generator", "data", "metric"])
def test_another_version_is_shown_and_not_ranked(held: dict[str, Any], what: str) -> None:
    old = copy.deepcopy(held)
    old["created"] = "2020-01-01T00:00:00+00:00"
    if what == "suite":
        old["suite"]["version"] = "0.0.1"
    elif what == "metric":
        old["metrics"][0]["id"] = "chamfer@9"
    else:
        old["domains"][0][{"generator": "generator_version", "data": "data_manifest"}[what]] = (
            7 if what == "generator" else "0"
        )
    entries = [e for e in leaderboard.board_of([held, old]) if e.row["split"] == "test"]
    assert len(entries) == 2 * sum(r["split"] == "test" for r in held["scores"])
    ranked = [e for e in entries if e.rank != "–"]
    assert len(ranked) == len(entries) // 2 - 1
    newest = ranked[0].comparable
    assert all(e.comparable == newest for e in ranked)


def test_markdown_escapes_what_would_break_the_table(held: dict[str, Any]) -> None:
    spans = {"drag-1.01": (1.0, 0.9, 1.1)}
    held = with_errors(held, spans)
    entries = leaderboard.board_of([held])
    entries[0].row["model"] = "a|b"
    assert "a\\|b" in board_text.markdown(entries)


def test_compare_begins_with_the_factors_that_differ(finished: Path) -> None:
    found = compare.compare("persistence", "linear", finished)
    assert list(found["differ"])[:3] == ["objective", "learning_algorithm", "architecture"]
    assert {(p["a"]["model"], p["b"]["model"]) for p in found["rows"]} == {("persistence", "linear")}
    assert {p["a"]["split"] for p in found["rows"]} == {"test", "long"}
    with pytest.raises(MisuseError, match=r"'nobody'.*persistence"):
        compare.compare("nobody", "linear", finished)


# -- the report --------------------------------------------------------------------------------------------------------


def test_a_run_ends_with_a_report(finished: Path) -> None:
    page = (finished / "report" / "index.html").read_text()
    for text in ("drag-4.0", "persistence", "torch"):
        assert text in page
    assert "persistence" in (finished / "report" / "LEADERBOARD.md").read_text()


# -- running and resuming ----------------------------------------------------------------------------------------------


def test_a_stage_runs_again_only_when_its_inputs_change(tmp_path: Path) -> None:
    ran = []

    def work() -> dict[str, float]:
        ran.append(1)
        return {"x": 1.5}

    first = stage(tmp_path, "s", {"a": 1}, work)
    assert stage(tmp_path, "s", {"a": 1}, work) == first
    assert len(ran) == 1
    stage(tmp_path, "s", {"a": 2}, work)
    assert len(ran) == 2
    (tmp_path / "s.json").write_text("torn")
    stage(tmp_path, "s", {"a": 2}, work)
    assert len(ran) == 3


def test_a_lost_table_is_measured_again(tmp_path: Path) -> None:
    import numpy as np

    ran = []

    def work() -> list[Score]:
        ran.append(1)
        return [Score("d", "test", "m", None, {"position_rmse@1": np.ones((2, 3))}, np.array([-1, -1, 0]))]

    score_stage(tmp_path, "s", {}, work)
    (tmp_path / "s.parquet").unlink()
    scores, _ = score_stage(tmp_path, "s", {}, work)
    assert len(ran) == 2
    assert scores[0].diverged_at is not None
    assert scores[0].diverged_at.tolist() == [-1, -1, 0]
    assert scores[0].curves["position_rmse@1"].shape == (2, 3)


def test_a_finished_run_is_reused_and_keeps_its_times(
    finished: Path, held: dict[str, Any], ballistic: Domain, tiny: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("this was done before")

    monkeypatch.setattr(scoring, "score_case", never)
    monkeypatch.setattr(run_module, "speed_case", never)
    run(tiny, finished, [ballistic])
    again = records.read(finished)
    assert again["stages"] == held["stages"]
    assert again["scores"] == held["scores"]
    assert again["speed"] == held["speed"]


def test_changed_code_makes_scores_stale(
    finished: Path, ballistic: Domain, tiny: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*args: Any, **kwargs: Any) -> None:
        raise InterruptedError("scored again")

    monkeypatch.setattr(scoring, "score_case", again)
    monkeypatch.setattr(environment, "source_hash", lambda: "other code")
    with pytest.raises(InterruptedError):
        run(tiny, finished, [ballistic])


def test_a_killed_run_goes_on_where_it_stood(
    tmp_path: Path, ballistic: Domain, tiny: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, scored = score_case, list[str]()

    def killed_at_second(case: Any, *args: Any, **kwargs: Any) -> Any:
        if len(scored) == 1:
            raise KeyboardInterrupt
        scored.append(case.split)
        return real(case, *args, **kwargs)

    monkeypatch.setattr(scoring, "score_case", killed_at_second)
    with pytest.raises(KeyboardInterrupt):
        run(tiny, tmp_path, [ballistic])
    assert not (tmp_path / "record.json").exists()
    again = []

    def watched(case: Any, *args: Any, **kwargs: Any) -> Any:
        again.append(case.split)
        return real(case, *args, **kwargs)

    monkeypatch.setattr(scoring, "score_case", watched)
    run(tiny, tmp_path, [ballistic])
    assert scored == ["test"]
    assert again == ["long"]


def test_a_model_that_cannot_be_trained_is_a_failure_of_its_own(
    tmp_path: Path, ballistic: Domain, tiny: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hedgefox import surrogates

    def refuse(name: str, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(surrogates, "train", refuse)
    made = records.read(run(tiny, tmp_path, [ballistic]))
    assert [(f["stage"], f["model"]) for f in made["failures"]] == [("train", "linear")]
    assert "out of luck" in made["failures"][0]["error"]
    assert "persistence" in {r["model"] for r in made["scores"]}


def test_a_run_of_other_seeds_without_timing(tmp_path: Path, ballistic: Domain, tiny: Track) -> None:
    made = records.read(run(tiny, tmp_path, [ballistic], seeds=[3], timed=False))
    assert {c["seed"] for c in made["contestants"] if c["card"]["training_data"]} == {3}
    assert made["track"]["training_seeds"] == [3]
    assert made["speed"] == []


def test_a_run_of_some_models_is_ranked_with_the_track(
    finished: Path, tmp_path: Path, ballistic: Domain, tiny: Track
) -> None:
    made = records.read(run(tiny, tmp_path, [ballistic], only=["persistence"], timed=False))
    solvers = ("reference", "ladder")
    assert [c["card"]["name"] for c in made["contestants"] if c["card"]["kind"] not in solvers] == ["persistence"]
    assert alike.comparable(made, "ballistic") == alike.comparable(records.read(finished), "ballistic")
    with pytest.raises(MisuseError, match="nonsense"):
        run(tiny, tmp_path / "other", [ballistic], only=["nonsense"])


def test_misuse_of_run_writes_nothing(tmp_path: Path, ballistic: Domain) -> None:
    out = tmp_path / "out"
    for wrong, why in (
        ({"track": "nonsense"}, "nonsense"),
        ({"track": "smoke", "domains": ["aether"]}, "aether"),
        ({"track": "smoke", "domains": []}, "at least one domain"),
        ({"track": "smoke", "domains": [ballistic], "device": "abacus"}, "abacus"),
        ({"track": "smoke", "domains": [ballistic], "seeds": []}, "at least one"),
        ({"track": "smoke", "domains": [ballistic], "seeds": [2, 2]}, "each once"),
    ):
        with pytest.raises(MisuseError, match=why):
            run(out=out, **wrong)
    assert not out.exists()


def test_score_and_speed_alone_write_records_that_make_one_board(
    finished: Path, ballistic: Domain, tiny: Track, tmp_path: Path
) -> None:
    data = finished / "data" / "ballistic"
    weights = next((finished / "weights" / "ballistic" / "linear").iterdir())
    models: list[str | Path] = ["reference", "drag-1.4", "persistence", weights]
    made = score(models, data, tmp_path / "scores", domain=ballistic, track=tiny, splits=["test"])
    assert {r["model"] for r in made["scores"]} == {"ballistic", "drag-1.4", "persistence", "linear"}
    speed(["persistence"], tmp_path / "speed", domain=ballistic, track=tiny)
    rows = {r["model"]: r for r in leaderboard.rows(tmp_path)}
    assert rows["persistence"]["latency_ms"] > 0
    assert rows["persistence"]["speedup_reference"] > 0
    assert rows["drag-1.4"]["latency_ms"] is None


def test_score_refuses_what_does_not_fit(finished: Path, ballistic: Domain, tiny: Track, tmp_path: Path) -> None:
    data = finished / "data" / "ballistic"
    for models, more, why in (
        (["persistence"], {"splits": ["shape"]}, r"no split 'shape'.*test"),
        (["persistence", "persistence"], {}, "twice"),
        (["persistence"], {"track": "quick"}, r"size 'xs'.*'s'"),
        ([], {}, "no model"),
    ):
        with pytest.raises(MisuseError, match=why):
            score(models, data, tmp_path / "out", **{"domain": ballistic, "track": tiny, **more})  # type: ignore[arg-type]
    with pytest.raises(MisuseError, match="not a data set"):
        score(["persistence"], tmp_path, domain=ballistic)
    assert not (tmp_path / "out").exists()


def test_a_board_goes_between_the_marks_of_a_page(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- board:begin -->\nold\n<!-- board:end -->\nafter\n")
    asked = ["leaderboard", str(finished), "--domain", "ballistic", "--split", "test", "--into", str(page)]
    for _ in range(2):
        assert cli.main(asked) == 0
        text = page.read_text()
        assert text.startswith("before\n<!-- board:begin -->")
        assert text.endswith("<!-- board:end -->\nafter\n")
        assert "old" not in text
        assert text.count("| persistence |") == 1
        assert "long" not in text
    capsys.readouterr()
    assert cli.main(["leaderboard", str(finished), "--split", "none"]) == 2
    assert "one of" in capsys.readouterr().err
    page.write_text("no marks")
    assert cli.main(asked) == 2
    assert page.read_text() == "no marks"


def test_hostile_names_stay_text_in_markdown(held: dict[str, Any]) -> None:
    for row in held["scores"]:
        row["model"] = "<script>`x`|y"
    for contestant in held["contestants"]:
        contestant["card"]["name"] = "<script>`x`|y"
    text = board_text.markdown(leaderboard.board_of([held | {"speed": []}]))
    assert "<script>" not in text
    assert "&lt;script>\\`x\\`\\|y" in text


def test_a_records_command_says_nothing_of_where_a_machine_keeps_things(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["run", "--track", "hour", "--out", "/home/somebody/runs/1", "--data=/srv/data/fluid", "runs/2"]
    monkeypatch.setattr("sys.argv", ["/opt/venv/lib/hedgefox/__main__.py", *asked])
    assert environment.command() == ["hedgefox", "run", "--track", "hour", "--out", "1", "--data=fluid", "runs/2"]
