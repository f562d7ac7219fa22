"""Two records of one track: what got worse or slower is said, what was merely noise or a busy machine is not."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hedgefox import cli
from hedgefox.bench import curves
from hedgefox.bench import record as records
from hedgefox.bench.compare_tables import tables
from hedgefox.bench.regression import disagreements, holds, regression
from hedgefox.bench.run import run
from hedgefox.bench.timing import speed as speed_module
from hedgefox.bench.timing.clock import Clocks
from hedgefox.bench.verbs import speed
from hedgefox.contracts import Domain, MisuseError, Model, ModelCard, Recipe, Track, Trajectory, track

from .ballistic import Ballistic

ERROR = "position_rmse@1"


@pytest.fixture(scope="module")
def tiny() -> Track:
    counts = {"train": 2, "valid": 1, "test": 12, "long": 1}
    return dataclasses.replace(
        track("smoke"), trajectories=counts, only=("persistence", "constant_velocity"), timing_samples=10
    )


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, ballistic: Domain, tiny: Track) -> Path:
    """A run, and in place of its timing samples such as a quiet machine gives: 1 % of noise about the same medians."""
    folder = run(tiny, tmp_path_factory.mktemp("old"), [ballistic])
    record, rng = records.read(folder), np.random.default_rng(0)
    for entry in record["speed"]:
        for part in ("latency", "throughput"):
            entry[part]["samples_s"] = (entry[part]["median_s"] * np.exp(rng.normal(0, 0.01, 10))).tolist()
    records.write(folder, record)
    return folder


@pytest.fixture
def new(old: Path, tmp_path: Path) -> Path:
    """The same record, to be tampered with."""
    for name in (records.FILE, records.CURVES):
        shutil.copy(old / name, tmp_path / name)
    return tmp_path


def changed(found: dict[str, Any]) -> set[tuple[str | None, str, str]]:
    return {(r["model"], r["measure"], r["verdict"]) for r in found["rows"] if r["verdict"] != "same"}


def plant(folder: Path, model: str, factor: float) -> None:
    """Multiply the errors of one model on `test`, in the curves and in the summary."""
    scores = curves.read(folder / records.CURVES)
    for k, s in enumerate(scores):
        if (s.model, s.split) == (model, "test"):
            scores[k] = dataclasses.replace(s, curves={**s.curves, ERROR: factor * s.curves[ERROR]})
    curves.write(folder / records.CURVES, scores)
    record = records.read(folder)
    for row in record["scores"]:
        if (row["model"], row["split"]) == (model, "test"):
            for held in row["values"][ERROR].values():
                held and held.update({k: factor * v for k, v in held.items() if v is not None})
    records.write(folder, record)


def slow(folder: Path, factor: float, *models: str) -> None:
    """Multiply all timing samples of some models, or of all when none is named."""
    record = records.read(folder)
    for entry in record["speed"]:
        if not models or entry["model"] in models:
            for part in ("latency", "throughput"):
                entry[part]["samples_s"] = [factor * s for s in entry[part]["samples_s"]]
    records.write(folder, record)


def edited(folder: Path, edit: Any) -> Path:
    record = records.read(folder)
    edit(record)
    records.write(folder, record)
    return folder


def test_a_record_is_the_same_as_itself(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = regression(old, new)
    assert disagreements(old, new) == []
    assert set(found["verdicts"]) == {"same"}
    assert {r["what"] for r in found["rows"]} == {"accuracy", "speed", "size"}
    shown = {r["at"] for r in found["rows"] if r["measure"] == ERROR}
    assert shown == {"1", "last", "mean"}, "frame 20 lies beyond the horizon of 8"
    assert all(r["paired"] for r in found["rows"] if r["what"] == "accuracy")
    assert cli.main(["compare", str(old), str(new), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["worse"] == 0


def test_a_planted_error_is_worse_and_its_cure_is_better(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(new, "persistence", 1.5)
    found = regression(old, new)
    assert changed(found) == {("persistence", ERROR, "worse")}
    first = found["rows"][0]
    assert (first["verdict"], first["split"]) == ("worse", "test")
    assert first["effect"] == pytest.approx(0.5 * first["old"])
    assert first["low"] > 0
    assert cli.main(["compare", str(old), str(new)]) == 1
    assert "worse" in capsys.readouterr().out
    assert changed(regression(new, old)) == {("persistence", ERROR, "better")}
    assert cli.main(["compare", str(new), str(old)]) == 0, "an improvement fails no build"


def test_pairs_see_what_lies_within_the_spread_of_scenes(old: Path, new: Path) -> None:
    plant(new, "persistence", 1.05)
    assert changed(regression(old, new)) == {("persistence", ERROR, "worse")}
    edited(new, lambda r: r["domains"][0].update(data_manifest="0" * 64))
    found = regression(old, new)
    assert changed(found) == set(), "of other data only two unpaired means are left"
    assert not any(r["paired"] for r in found["rows"] if r["what"] == "accuracy")


def test_without_curves_the_summaries_are_compared(old: Path, new: Path) -> None:
    plant(new, "persistence", 3.0)
    edited(new, lambda r: r.update(curves=None))
    found = regression(old, new)
    assert ("persistence", ERROR, "worse") in changed(found)
    assert {r["verdict"] for r in found["rows"] if r["model"] != "persistence" and r["split"] == "test"} == {"same"}


@pytest.mark.parametrize(("factor", "verdict"), [(1.5, "slower"), (1 / 1.5, "faster"), (1.01, None)])
def test_one_contestant_is_slower_or_faster(old: Path, new: Path, factor: float, verdict: str | None) -> None:
    slow(new, factor, "persistence")
    found = regression(old, new)
    assert changed(found) == (
        set() if verdict is None else {("persistence", n, verdict) for n in ("latency", "throughput")}
    )
    assert holds(found) == (verdict != "slower")
    rows = {r["measure"]: r for r in found["rows"] if r["model"] == "persistence" and r["what"] == "speed"}
    assert rows["latency"]["effect"] == pytest.approx(factor)
    assert rows["throughput"]["effect"] == pytest.approx(1 / factor)
    assert rows["latency"]["low"] < factor < rows["latency"]["high"]


def test_a_busy_machine_slows_nobody(old: Path, new: Path) -> None:
    slow(new, 2.0)
    assert disagreements(old, new) == []


def test_a_slower_reference_shows_as_all_others_faster(old: Path, new: Path) -> None:
    slow(new, 2.0, "ballistic")
    assert {verdict for _, _, verdict in changed(regression(old, new))} == {"faster"}


def test_fewer_samples_widen_the_interval_and_one_alone_decides_nothing(old: Path, new: Path) -> None:
    slow(new, 1.5, "persistence")
    widths, verdicts = list[float](), []
    for number in (10, 3, 1):
        for entry in (record := records.read(new))["speed"]:
            for part in ("latency", "throughput"):
                entry[part]["samples_s"] = entry[part]["samples_s"][:number]
        records.write(new, record)
        rows = [r for r in regression(old, new)["rows"] if (r["model"], r["measure"]) == ("persistence", "latency")]
        verdicts.append(rows[0]["verdict"])
        if number > 1:
            widths.append(rows[0]["high"] - rows[0]["low"])
    assert verdicts[2] == "undecided"
    assert rows[0]["low"] is None
    assert widths[0] < widths[1]


@pytest.mark.parametrize("what", ["cpu_model", "timing_samples", "recipe", "no reference", "another scene"])
def test_times_of_unlike_conditions_are_not_compared(old: Path, new: Path, what: str) -> None:
    def edit(r: dict[str, Any]) -> None:
        if what == "cpu_model":
            r["environment"]["cpu_model"] = "abacus"
        elif what == "timing_samples":
            r["track"]["timing_samples"] = 99
        elif what == "recipe":
            r["domains"][0]["recipe"]["resolution"] = 0.1
        elif what == "no reference":
            r["speed"] = [s for s in r["speed"] if s["kind"] != "reference"]
        else:
            for s in r["speed"]:
                s["latency"]["nodes"] += 1

    edited(new, edit)
    slow(new, 3.0, "persistence")
    found = regression(old, new)
    verdicts = {r["verdict"] for r in found["rows"] if r["what"] == "speed" and r["measure"] != "throughput"}
    assert verdicts == {"not comparable"}
    accuracy = [r for r in found["rows"] if r["what"] == "accuracy"]
    assert bool(accuracy) == (what != "recipe"), "errors in other scenes do not mean the same"


def test_another_version_of_a_metric_is_listed_and_never_compared(old: Path, new: Path) -> None:
    plant(new, "persistence", 1.5)

    def newer(r: dict[str, Any]) -> None:
        r.update(json.loads(json.dumps(r).replace(ERROR, "position_rmse@2")))

    found = regression(old, edited(new, newer))
    assert changed(found) == {(None, "position_rmse", "not comparable")}
    assert not any(r["measure"].startswith("position_rmse") for r in found["rows"] if r["what"] == "accuracy")


def test_what_is_in_one_only_is_added_or_removed(old: Path, new: Path) -> None:
    def without(r: dict[str, Any]) -> None:
        for part in ("scores", "speed"):
            r[part] = [x for x in r[part] if x["model"] != "persistence"]
        r["metrics"] = [m for m in r["metrics"] if m["id"] != "chamfer@1"]

    edited(new, without)
    for pair, verdict in (((old, new), "removed"), ((new, old), "added")):
        found = regression(*pair)
        assert changed(found) == {
            ("persistence", "scores", verdict), ("persistence", "timing", verdict), (None, "chamfer", verdict),
        }  # fmt: skip
        assert holds(found)


def test_what_fails_now_and_did_not_does_not_hold(old: Path, new: Path) -> None:
    fault = {
        "stage": "score",
        "domain": "ballistic",
        "split": "test",
        "model": "persistence",
        "seed": None,
        "error": "e",
    }
    edited(new, lambda r: r["failures"].append(fault))
    found = regression(old, new)
    assert changed(found) == {("persistence", "score", "failed")}
    assert not holds(found)
    assert disagreements(new, new) == [], "it failed before"


def test_a_change_of_size_is_flagged(old: Path, new: Path) -> None:
    def larger(r: dict[str, Any]) -> None:
        for c in r["contestants"]:
            c["card"]["bytes"] += 4 * (c["card"]["name"] == "persistence")

    found = regression(old, edited(new, larger))
    assert changed(found) == {("persistence", "bytes", "changed")}
    assert holds(found)


def test_records_from_before_there_were_later_fields_are_compared(old: Path, new: Path) -> None:
    def earlier(r: dict[str, Any]) -> None:
        r.pop("probes")
        for each in r["contestants"]:
            each.pop("weights_sha256", None)
        for part in (*r["domains"], *r["speed"]):
            part.pop("training_data_seconds", None)
            part.pop("break_even", None)
        for row in r["scores"]:
            for held in [row["trust_horizon"], *(h for v in row["values"].values() for h in v.values())]:
                for later in ("iqm", "p90") if held else ():
                    held.pop(later, None)

    assert disagreements(edited(new, earlier), old) == []


def test_misuse_is_one_line(old: Path, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty := tmp_path / "empty").mkdir()
    assert cli.main(["compare", str(old), str(empty)]) == 2
    assert "no record.json" in capsys.readouterr().err
    edited(new, lambda r: r["track"].update(name="other"))
    with pytest.raises(MisuseError, match=r"of track 'smoke' and .* of 'other'"):
        regression(old, new)


def test_tables_show_what_changed_and_count_the_rest(old: Path, new: Path) -> None:
    plant(new, "persistence", 1.5)
    slow(new, 1.5, "constant_velocity")
    edited(new, lambda r: r["track"].update(training_steps=7))
    made = {title: rows for title, rows in tables(regression(old, new)) if rows}
    assert {r["verdict"] for t, rows in made.items() if "beyond" in t for r in rows} == {"worse", "slower"}
    assert made["settings of the track that differ"] == [{"setting": "training_steps", "old": 40, "new": 7}]
    assert any("not judged" in title for title in made)
    assert {r["verdict"] for r in made["verdicts"]} == {"worse", "slower", "same"}


# -- two runs of one command -------------------------------------------------------------------------------------------


@pytest.mark.timed
def test_two_runs_agree_within_their_intervals(tmp_path: Path, ballistic: Domain, tiny: Track) -> None:
    """On a real clock, in samples long enough that a burst of other work does not fill a whole run.

    A burst may still take one pair of runs out of three; what is really slower is so in every pair (the tests below).
    """
    effort = dataclasses.replace(tiny, timing_samples=12, timing_sample_seconds=0.03, timing_batches=(1,))
    found = []
    for pair in ("a", "b", "c"):
        for name in ("first", "again"):
            speed(["constant_velocity", "drag-1.4"], tmp_path / pair / name, domain=ballistic, track=effort)
        found.append(disagreements(tmp_path / pair / "first", tmp_path / pair / "again"))
        if not found[-1]:
            break
    assert not found[-1], found


class Scripted:
    """A clock that stands still but for what models spend on it, with 3 % of noise: real ones are too noisy on a shared machine."""

    def __init__(self) -> None:
        self.now, self.noise = 0.0, np.random.default_rng(0)

    def spend(self, seconds: float) -> None:
        self.now += seconds * float(np.exp(self.noise.normal(0, 0.03)))


class Sleepy(Model):
    """A model that takes a tenth of a second and sleeps that many tenths: short enough for every sample asked for."""

    def __init__(self, inner: Model, clock: Scripted, sleep: float = 0.0) -> None:
        self.inner, self.clock, self.sleep = inner, clock, sleep

    @property
    def card(self) -> ModelCard:
        """A rung's under a name and kind that anyone may enter with."""
        theirs = self.inner.card
        return (
            dataclasses.replace(theirs, kind="baseline", name=f"my-{theirs.name}")
            if theirs.kind == "ladder"
            else theirs
        )

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        self.clock.spend(0.1 * (1.0 + self.sleep))
        return self.inner.rollout(past, n_frames)


class Timed(Ballistic):
    """The test domain with a reference on a scripted clock."""

    def __init__(self, clock: Scripted) -> None:
        self.clock = clock

    def reference(self, recipe: Recipe, device: str = "cpu") -> Any:
        return Sleepy(super().reference(recipe, device), self.clock)


def test_an_injected_sleep_makes_two_runs_disagree(
    tmp_path: Path, tiny: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Scripted()
    monkeypatch.setattr(speed_module, "clocks_of", lambda _: Clocks(lambda: clock.now, lambda: clock.now))
    domain = Timed(clock)
    effort = dataclasses.replace(tiny, timing_batches=(1,))
    rungs = domain.ladder(domain.recipe("xs"))

    def timed(name: str, sleep: float) -> Path:
        contestants = [Sleepy(rungs["drag-1.4"], clock, sleep), Sleepy(rungs["drag-4.0"], clock)]
        speed(contestants, tmp_path / name, domain=domain, track=effort)
        return tmp_path / name

    first = timed("first", 0.0)
    assert disagreements(first, timed("again", 0.0)) == []
    found = regression(first, timed("slower", 0.3))
    assert changed(found) == {("my-drag-1.4", "latency", "slower"), ("my-drag-1.4", "throughput", "slower")}


def test_disagreements_do_not_depend_on_the_order_of_entries(old: Path, new: Path) -> None:
    before = copy.deepcopy(records.read(new)["scores"])
    edited(new, lambda r: r.update(scores=r["scores"][::-1], speed=r["speed"][::-1]))
    assert records.read(new)["scores"] != before
    assert disagreements(old, new) == []
