"""Batch size and learning rate by measurement: trials, their file, what a run takes from it, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hedgefox import cli, surrogates
from hedgefox.bench import tuning
from hedgefox.bench._trainings import trainings
from hedgefox.bench.run import run
from hedgefox.bench.tuned import for_run, read_tunings
from hedgefox.bench.tuning import budget, grid, notes, table, tune
from hedgefox.contracts import MisuseError, track
from hedgefox.contracts.deadline import TimeUp
from hedgefox.surrogates import _pace
from hedgefox.surrogates._training import RATIO
from hedgefox.surrogates._tuning import MARKS

from .ballistic import TRACK

MODEL = "jepa"
"""It knows every domain; and of a batch of one its latents have no variance, so that the loss is not a number."""
SHORT = dataclasses.replace(TRACK, training_steps=40)


def tuned(data: Path, out: Path, **more: Any) -> dict[str, Any]:
    asked = {"track": SHORT, "batches": [1, 4], "rates": [2e-3]}
    (found,) = tune([MODEL], data, out, **{**asked, **more})
    return found


@pytest.fixture(scope="module")
def made(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tuning")
    tuned(original, out)
    return out


@pytest.fixture
def found(made: Path) -> dict[str, Any]:
    (held,) = read_tunings(made)
    return held


def log_of(made: Path, found: dict[str, Any], batch: int) -> list[dict[str, Any]]:
    (path,) = (made / "trials" / found["domain"] / MODEL / f"batch-{batch}-rate-0.002").rglob("readout/log.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_trial_is_judged_as_trainings_keep_weights(made: Path, found: dict[str, Any]) -> None:
    best, _ = found["trials"]
    assert found["best"] == {"batch_size": 4, "learning_rate": 2e-3} == {n: best[n] for n in found["best"]}
    (judged,) = [line[RATIO] for line in log_of(made, found, 4) if RATIO in line]
    assert best["error"] == pytest.approx(judged, abs=1e-6)
    assert best["windows_per_second"] == pytest.approx(4 * best["steps_per_second"])
    assert best["device_seconds"] > 0


def test_every_trial_has_the_same_budget_a_tenth_of_a_training(found: dict[str, Any]) -> None:
    assert found["budget"] == {"steps": 4, "seconds": None, "share": 0.1}
    assert "each of 2 trials: 4 steps, 0.1 of a training" in notes(found)[0]
    assert "at equal steps a larger batch costs more" in notes(found)[-1]
    timed = found | {"budget": {"steps": None, "seconds": 18.0, "share": 0.1}, "device": "cuda"}
    assert "each of 2 trials: 18 s of cuda" in notes(timed)[0]
    assert "favours smaller batches" in notes(timed)[-1]
    assert found["device_seconds"] == pytest.approx(sum(t["device_seconds"] for t in found["trials"]))


def test_a_trial_that_diverges_is_a_result(found: dict[str, Any]) -> None:
    last = found["trials"][-1]
    assert (last["batch_size"], last["outcome"], last["error"]) == (1, "diverged", None)
    assert "the loss of step 0 is nan" in last["note"]
    assert last["note"] in table(found)[-1]["outcome"]


def test_the_table_marks_the_best_and_says_what_would_change(found: dict[str, Any]) -> None:
    assert [row[""] for row in table(found)] == ["best preset", ""]
    assert "would change in the preset: nothing" in notes(found)
    other = found | {"preset": {"batch_size": 8, "learning_rate": 1e-3}, "changes": {"batch_size": [8, 4]}}
    assert [row[""] for row in table(other)] == ["best", ""]
    assert "would change in the preset: batch_size 8 → 4" in notes(other)
    none = found | {"best": None}
    assert "no trial came to its end: the preset stays" in notes(none)


def test_finished_trials_are_not_done_again_and_leave_no_weights(
    made: Path, original: Path, found: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> None:
        raise AssertionError("a trial was done again")

    monkeypatch.setattr("hedgefox.surrogates._tuning.trial", refuse)
    again = tuned(original, made)
    assert again["trials"] == found["trials"]
    assert len(read_tunings(made)) == 1
    assert not list(made.rglob("*.safetensors"))
    with pytest.raises(MisuseError, match="holds a training with steps 4; this one has 3"):
        tuned(original, made, steps=3)


def test_a_trial_by_time_looks_at_valid_at_its_quarters(original: Path, tmp_path: Path) -> None:
    timed = tuned(original, tmp_path, seconds=1.0, batches=[4])
    judged = [line for line in log_of(tmp_path, timed, 4) if RATIO in line]
    assert 1 <= len(judged) <= MARKS < _pace.MARKS
    assert timed["budget"] == {"steps": None, "seconds": 1.0, "share": 0.0}


def test_a_tuning_that_was_stopped_goes_on(original: Path, tmp_path: Path, found: dict[str, Any]) -> None:
    with pytest.raises(TimeUp):
        tuned(original, tmp_path, until=1e-6)
    assert not (tmp_path / "tuned.json").exists()
    again = tuned(original, tmp_path)
    told = ("batch_size", "learning_rate", "error", "steps", "outcome", "note")
    assert [[t[n] for n in told] for t in again["trials"]] == [[t[n] for n in told] for t in found["trials"]]


def test_a_training_says_which_settings_it_had_and_where_they_came_from(
    made: Path, original: Path, found: dict[str, Any], tmp_path: Path
) -> None:
    job = (MODEL, "ballistic")
    chosen = for_run(made, SHORT, [job, ("linear", "ballistic")])
    assert list(chosen) == [job]
    other = dataclasses.replace(chosen[job], settings={"batch_size": 2, "learning_rate": 5e-4})
    short, data = dataclasses.replace(SHORT, training_steps=4), {"ballistic": original}
    card = surrogates.train(MODEL, data, short, seed=0, out=tmp_path / "tuned", tuned=other).card
    assert (card.batch_size, card.learning_rate) == (2, 5e-4)
    assert card.tuning.startswith("best of 2 trials of 4 steps on cpu, judged on valid (tuned.json ")
    assert card.tuning_device_seconds == found["device_seconds"]
    assert surrogates.load(tmp_path / "tuned").card == card
    with pytest.raises(MisuseError, match="holds a training with settings"):
        surrogates.train(MODEL, data, short, seed=0, out=tmp_path / "tuned")
    plain = surrogates.train(MODEL, data, short, seed=0, out=tmp_path / "plain").card
    assert (plain.batch_size, plain.learning_rate, plain.tuning, plain.tuning_device_seconds) == (4, 2e-3, "", None)
    with pytest.raises(MisuseError, match="holds a training with settings None"):
        surrogates.train(MODEL, data, short, seed=0, out=tmp_path / "plain", tuned=other)


def test_a_run_takes_only_equal_budgets_of_its_own_track(made: Path, found: dict[str, Any], tmp_path: Path) -> None:
    def written(*tunings: dict[str, Any]) -> Path:
        path = tmp_path / "tuned.json"
        path.write_text(json.dumps({"format": "hedgefox-tuning", "version": 1, "tunings": tunings}))
        return path

    harder = found | {"model": "gns", "budget": found["budget"] | {"steps": 8}}
    jobs = [(MODEL, "ballistic"), ("gns", "ballistic")]
    with pytest.raises(
        MisuseError, match=r"2 trials of 4 steps on cpu and gns .* 2 trials of 8 steps on cpu; the same budget"
    ):
        for_run(written(found, harder), SHORT, jobs)
    assert list(for_run(written(found, harder), SHORT, jobs[:1])) == jobs[:1]
    with pytest.raises(MisuseError, match="holds no tuning on track 'hour'"):
        for_run(made, track("hour"), jobs)
    with pytest.raises(MisuseError, match="holds no tuning on track 'smoke'"):
        run("smoke", tmp_path / "run", ["fluid"], tuned=written(found | {"model": "elsewhere"}))
    unfinished = for_run(written(found | {"best": None}), SHORT, jobs)[jobs[0]]
    assert unfinished.settings == {}
    assert "none of 2 trials of 4 steps on cpu came to its end" in unfinished.how


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(format="other"), "is not of format"),
        (lambda c: c.update(tunings=3), "holds no list"),
        (lambda c: c["tunings"].append([]), r"a tuning's model is \[\]"),
        (lambda c: c["tunings"][0].pop("budget"), "a tuning's budget is None"),
        (lambda c: c["tunings"][0]["best"].update(batch_size=0), "batch size 0"),
        (lambda c: c["tunings"][0]["best"].update(learning_rate="high"), "learning rate 'high'"),
    ],
)
def test_what_is_no_tuning_is_refused(
    made: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    content = json.loads((made / "tuned.json").read_text())
    change(content)
    (tmp_path / "tuned.json").write_text(json.dumps(content))
    with pytest.raises(MisuseError, match=said):
        read_tunings(tmp_path)
    with pytest.raises(MisuseError, match=r"there is no .*nowhere"):
        read_tunings(tmp_path.parent / "nowhere")


def test_the_grid_lies_around_the_preset() -> None:
    assert grid({"batch_size": 4, "learning_rate": 2e-3}) == [
        (size, rate) for size in (1, 4, 16) for rate in (0.000667, 0.002, 0.006)
    ]
    assert grid({"batch_size": 2, "learning_rate": 1e-3}, rates=[1e-2]) == [(1, 1e-2), (2, 1e-2), (8, 1e-2)]
    assert grid({"batch_size": 1, "learning_rate": 1e-3}, batches=[3, 2, 3]) == grid(
        {"batch_size": 9, "learning_rate": 1e-3}, batches=[2, 3]
    )


def test_the_budget_is_of_the_kind_that_the_track_fixes() -> None:
    quick, timed = track("quick"), track("gpu-3min")
    assert dataclasses.astuple(budget(quick)) == (150, None, 0.1)
    assert dataclasses.astuple(budget(timed)) == (None, 18.0, 0.1)
    assert dataclasses.astuple(budget(timed, seconds=9.0)) == (None, 9.0, 0.05)
    assert (budget(timed, steps=5).of(timed).training_steps, budget(timed, steps=5).of(timed).training_seconds) == (
        5,
        0.0,
    )
    assert budget(timed).of(timed).training_seconds == 18.0
    with pytest.raises(MisuseError, match="one of --steps and --seconds"):
        budget(quick, 5, 1.0)


def test_misuse_is_one_line(original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases: dict[tuple[str, ...], str] = {
        ("linear", "--track", "smoke"): "linear has no batch size and learning rate to tune",
        ("jepaa", "--track", "smoke"): "did you mean 'jepa'?",
        ("jepa", "--track", "quick"): "is of 's'",
        ("jepa", "--track", "smoke", "--domain", "fluid"): "--domain says 'fluid'",
        ("particle_gnn", "--track", "smoke"): "name a domain that they know",
        ("jepa", "--track", "smoke", "--rate", "2"): "2 is no learning rate",
    }
    for words, said in cases.items():
        assert cli.main(["tune", *words, "--data", str(original), "--out", str(tmp_path)]) == 2, words
        told = capsys.readouterr()
        assert said in told.err
        assert told.out == ""
        assert told.err.count("\n") == 1


def test_the_verb_prints_strict_json(made: Path, original: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "tune",
        MODEL,
        "--track",
        "smoke",
        "--data",
        str(original),
        "--out",
        str(made),
        "--batch",
        "1",
        "--batch",
        "4",
    ]
    assert cli.main([*words, "--rate", "0.002", "--json"]) == 0
    said = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert [t["trials"] for t in said["tunings"]] == [read_tunings(made)[0]["trials"]]
    assert cli.main([*words, "--rate", "0.002"]) == 0
    assert "a short training favours higher rates" in capsys.readouterr().out


def test_without_a_model_all_that_the_track_trains_are_tuned() -> None:
    jobs = trainings(track("gpu-3min"), ["cloth", "fluid", "rigid"])
    kept = {(job.name, job.domain) for job in tuning._tunable(jobs, "m", ())}
    assert ("particle_gnn", "fluid") in kept
    assert ("jepa", "cloth+fluid+rigid") in kept
    assert not any(name == "linear" for name, _ in kept)
