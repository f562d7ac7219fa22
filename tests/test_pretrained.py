"""Weights that records hold: the names they go by, that they are those that were scored, and what misuse is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hedgefox as hf
import pytest
from hedgefox import cli
from hedgefox.bench import environment, verbs
from hedgefox.bench._hashes import folder_hash
from hedgefox.bench.pretrained import ORDER, every, find, folder_of, recorded, table
from hedgefox.contracts import CheckFailed, Domain, MisuseError

LINEAR = "weights/ballistic/linear/seed-0"
Change = Callable[[dict[str, Any]], object]
Add = Callable[..., Path]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def add(finished: Path, results: Path) -> Add:
    """Adds a record with its weights to the results."""

    def one(name: str, *changes: Change, domain: str = "ballistic", model: str = "linear", seed: int = 0) -> Path:
        folder = results / name
        shutil.copytree(
            finished / "weights/ballistic/linear/seed-0", folder / "weights" / domain / model / f"seed-{seed}"
        )
        record = json.loads((finished / "record.json").read_text())
        for each in (*record["contestants"], *record["scores"]):
            about = each.get("card", {"name": each.get("model")})
            if about["name"] == "linear":
                about["name"] = model
                each |= {"domain": domain} | ({"seed": seed} if "card" in each else {"model": model})
        for change in changes:
            change(record)
        (folder / "record.json").write_text(json.dumps(record))
        return folder

    return one


def on(track: str, size: str = "xs", made: str = "2026-11-01T00:00:00+00:00") -> Change:
    def change(record: dict[str, Any]) -> None:
        record["track"] |= {"name": track, "size": size}
        record["created"] = made

    return change


def unnamed(record: dict[str, Any]) -> None:
    """As records were before they named hashes."""
    for each in record["contestants"]:
        each.pop("weights_sha256", None)


def misuse(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    capsys.readouterr()
    assert cli.main([str(w) for w in words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_recorded_weights_score_what_their_record_says(
    add: Add, results: Path, finished: Path, ballistic: Domain, held: dict[str, Any]
) -> None:
    add("a")
    made = verbs.score(
        ["persistence"], finished / "data/ballistic", domain=ballistic, pretrained=["smoke/linear"], results=results
    )
    for model in ("linear", "persistence"):
        before, after = (
            [r for r in rec["scores"] if r["model"] == model and r["split"] == "test"] for rec in (held, made)
        )
        assert [r["values"] for r in before] == [r["values"] for r in after] != []
    entered = {c["card"]["name"]: c.get("weights_sha256") for c in made["contestants"]}
    assert entered == {"persistence": None, "linear": folder_hash(finished / LINEAR)}


def test_a_run_names_the_hash_of_what_it_trained(held: dict[str, Any], finished: Path) -> None:
    named = {c["card"]["name"]: c["weights_sha256"] for c in held["contestants"] if "weights_sha256" in c}
    assert named == {"linear": folder_hash(finished / LINEAR)}


def test_a_row_says_what_there_is(add: Add, results: Path, held: dict[str, Any]) -> None:
    add("a", on("quick"), seed=1)
    card = next(c["card"] for c in held["contestants"] if c["card"]["name"] == "linear")
    errors = next(r for r in held["scores"] if r["model"] == "linear" and r["split"] == "test")["values"][
        "position_rmse@1"
    ]
    (row,) = table(results)
    assert row["name"] == "quick/linear@1"
    assert (row["track"], row["model"], row["domains"], row["seed"]) == ("quick", "linear", ["ballistic"], 1)
    assert (row["parameters"], row["bytes"], row["made"]) == (card["parameters"], card["bytes"], "2026-11-01")
    assert row["position_rmse_20"] == {"ballistic": (errors["20"] or errors["last"])["value"]}
    assert row["holds"] is True


def test_the_newest_record_of_a_track_counts_and_the_order_of_tracks_is_as_stated(add: Add, results: Path) -> None:
    for k, track in enumerate((*reversed(ORDER), "another")):
        add(f"of-{k}", on(track))
    add("later", on("quick", made="2026-12-01T00:00:00+00:00"))
    assert find("quick/linear", results).record == "later"
    assert [w.track for w in every(results)] == [*ORDER, "another"]
    assert find("linear", results).track == ORDER[0] == "gpu-9min"


def test_a_plain_name_is_of_the_size_of_the_data(add: Add, results: Path) -> None:
    add("a", on("gpu-3min", "m"))
    add("b", on("quick", "s"))
    assert find("linear", results).track == "gpu-3min"
    assert find("linear", results, size="s").track == "quick"
    assert find("linear", results, size="l").track == "gpu-3min"
    assert find("gpu-3min/linear", results, size="s").track == "gpu-3min"


def test_a_model_trained_on_each_domain_by_itself_is_asked_for_by_domain(add: Add, results: Path) -> None:
    add("a", on("hour"))
    add("b", on("hour"), domain="other")
    assert {row["name"] for row in table(results)} == {"hour/ballistic/linear", "hour/other/linear"}
    assert find("hour/other/linear", results).domains == ("other",)
    assert find("hour/linear", results, domain="ballistic").domains == ("ballistic",)
    with pytest.raises(MisuseError, match=r"say on which.*one of hour/ballistic/linear, hour/other/linear is right"):
        find("hour/linear", results)


def test_one_set_of_weights_for_several_domains_has_one_name(add: Add, results: Path) -> None:
    def both(record: dict[str, Any]) -> None:
        mine = next(c for c in record["contestants"] if c["card"]["name"] == "jepa")
        mine["domain"] = "ballistic"
        record["contestants"].append({**mine, "domain": "other"})

    add("a", on("hour"), both, domain="ballistic+other", model="jepa")
    (row,) = table(results)
    assert (row["name"], row["domains"]) == ("hour/jepa", ["ballistic", "other"])
    assert find("jepa", results, domain="other").folder == find("jepa", results, domain="ballistic").folder


def test_weights_that_were_not_scored_are_refused_with_both_hashes(add: Add, results: Path, finished: Path) -> None:
    path = add("a") / LINEAR / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CheckFailed) as refused:
        folder_of("linear", results)
    assert folder_hash(finished / LINEAR) in str(refused.value)
    assert folder_hash(path.parent) in str(refused.value)
    assert cli.main(["list", "pretrained", "--results", str(results)]) == 1


def test_older_records_name_hashes_in_a_round_of_the_same_training(add: Add, results: Path, finished: Path) -> None:
    digest = folder_hash(finished / LINEAR)
    row = {"domain": "ballistic", "model": "linear", "seed": 0, "sha256": digest}

    def sealed(record: dict[str, Any]) -> None:
        unnamed(record)
        record["round"] = {"seal": "0" * 64, "entered": [row]}

    def retrained(record: dict[str, Any]) -> None:
        unnamed(record)
        for each in record["contestants"]:
            each["card"]["training_device_seconds"] = 1e9

    add("a", unnamed)
    assert table(results)[0]["holds"] is None
    shutil.rmtree(add("round", sealed) / "weights")
    assert (find("linear", results).sha256, find("linear", results).named_by) == (digest, "round")
    assert folder_of("linear", results) == results / "a" / LINEAR
    # A training by the same name of another run is not what entered, and its card says so.
    shutil.rmtree(results / "a")
    add("b", retrained)
    assert find("linear", results).sha256 is None
    with pytest.raises(CheckFailed, match="another training"):
        folder_of("linear", results)


def test_misuse_is_one_line(
    add: Add, results: Path, finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add("a", on("hour"))
    add("b", on("hour"), seed=2)
    for name, said in {
        "liner": "did you mean 'linear'?",
        "hours/linear": "did you mean 'hour/linear'?",
        "linear@7": "no record of track hour holds linear of seed 7; one of linear@0, linear@2 is right",
        "linear@one": "the seed 'one' is no whole number",
    }.items():
        with pytest.raises(MisuseError) as told:
            folder_of(name, results)
        assert said in str(told.value)
    with pytest.raises(MisuseError, match="hour/linear knows ballistic; the data are of fluid: there is none"):
        folder_of("hour/linear", results, domain="fluid")
    out = results.parent / "out"
    assert "liner" in misuse(capsys, "speed", "--pretrained", "liner", "--results", results, "--out", out)
    assert "no model was given" in misuse(capsys, "speed", "--domain", "fluid", "--out", out)
    assert "--results is for" in misuse(capsys, "list", "models", "--results", results)
    assert "no record.json" in misuse(capsys, "list", "pretrained", "--results", results / "a" / "weights")
    monkeypatch.setattr("hedgefox.bench.pretrained.PACKAGE", results)
    assert "give a folder of records with --results" in misuse(capsys, "list", "pretrained")


def test_the_python_api_loads_them(add: Add, results: Path, finished: Path, film: hf.Trajectory) -> None:
    add("a")
    model = hf.pretrained("linear", results=results)
    assert model.card == hf.load(finished / LINEAR).card
    assert model.rollout(film.frames(0, 5), 3).n_frames == 3


def test_the_checkout_is_where_records_are_by_default() -> None:
    assert recorded() == environment.PACKAGE / "results"


@pytest.mark.long
def test_the_weights_of_the_checkout_are_those_that_were_scored() -> None:
    held = every(recorded())
    assert {w.track for w in held} >= {"hour", "quick"}
    assert [w.full_name for w in held if w.holds is False] == []
    assert all(w.holds for w in held if w.track == "hour")
    for each in held:
        assert folder_of(each.full_name) == each.folder
