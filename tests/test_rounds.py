"""Several training seeds as one board, and sealed rounds: states that follow from what entered, and from nothing else."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hedgefox.bench import board_text, curves, leaderboard, pool
from hedgefox.bench import record as records
from hedgefox.bench.pool import pooled, read_pooled
from hedgefox.bench.reduce import estimate
from hedgefox.bench.round import play_round
from hedgefox.bench.run import run
from hedgefox.bench.seal import checked, derived, seal_of, seed_of, verified
from hedgefox.cli import main
from hedgefox.contracts import Domain, MisuseError, Track, track
from hedgefox.contracts.track import track_of
from hedgefox.datasets import generate, manifest_hash


@pytest.fixture(scope="module")
def tiny() -> Track:
    return dataclasses.replace(
        track("smoke"),
        trajectories={"train": 4, "valid": 2, "test": 5, "long": 2},
        training_steps=6,
        only=("persistence", "constant_velocity", "linear", "particle_gnn"),
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny: Track) -> list[Path]:
    """Three runs of one training seed each, only the first one timed."""
    folder = tmp_path_factory.mktemp("runs")
    return [run(tiny, folder / f"{s}", ["fluid"], seeds=[s], timed=s == 0) for s in range(3)]


@pytest.fixture(scope="module")
def played(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play_round(runs[:2], tmp_path_factory.mktemp("round"))


def rows(entries: list[leaderboard.Entry], split: str = "test") -> dict[str, leaderboard.Entry]:
    return {e.row["model"]: e for e in entries if e.row["split"] == split}


# -- pooling -----------------------------------------------------------------------------------------------------------


def test_seeds_of_several_records_make_one_row(runs: list[Path]) -> None:
    board = rows(leaderboard.board(runs[0].parent))
    entry = board["particle_gnn"]
    assert entry.row["seeds"] == 3
    assert board["persistence"].row["seeds"] is None
    parts = [
        s.curves["position_rmse@1"][-1]
        for r in runs
        for s in curves.read(r / "curves.parquet", domain="fluid", split="test", model="particle_gnn")
    ]
    found = estimate(np.stack(parts))
    assert found is not None
    assert entry.row["position_rmse_last"] == pytest.approx(found.to_dict())
    assert len(entry.folders) == 3


def test_timing_is_from_one_record_and_accuracy_from_all(runs: list[Path]) -> None:
    one, all_of = (rows(leaderboard.board(p))["particle_gnn"].row for p in (runs[0], runs[0].parent))
    assert one["latency_ms"] == all_of["latency_ms"]
    assert one["seeds"] == 1
    assert rows(leaderboard.board(runs[1]))["particle_gnn"].row["latency_ms"] is None
    assert all_of["speedup_equal_accuracy"] is not None


def test_one_record_alone_is_left_as_it_is(runs: list[Path]) -> None:
    made = records.read(runs[0])
    (found,) = read_pooled(runs[0])
    assert {k: v for k, v in found.items() if k != "folders"} == made


def test_the_same_training_twice_counts_once(runs: list[Path]) -> None:
    read = [(r, records.read(r)) for r in runs]
    (found,) = pooled([*read, *read])
    row = next(s for s in found["scores"] if (s["model"], s["split"]) == ("particle_gnn", "test"))
    assert row["seeds"] == [0, 1, 2]


def test_what_differs_in_more_than_seeds_is_not_pooled(runs: list[Path]) -> None:
    read = [(r, records.read(r)) for r in runs]
    for change in ({"training_steps": 7}, {"name": "other"}):
        other = copy.deepcopy(read[1][1])
        other["track"] |= change
        assert len(pooled([read[0], (runs[1], other)])) == 2
    other = copy.deepcopy(read[1][1])
    other["domains"][0]["data_manifest"] = "0" * 64
    assert len(pooled([read[0], (runs[1], other)])) == 2


def test_a_record_without_its_curves_stays_by_itself(runs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text((runs[1] / "record.json").read_text())
    assert len(pooled([(runs[0], records.read(runs[0])), (tmp_path, records.read(tmp_path))])) == 2


# -- the seal ----------------------------------------------------------------------------------------------------------


def test_a_seal_follows_from_all_that_entered_and_not_from_its_order() -> None:
    domains = [{"name": n, "generator_version": 1, "recipe": {"dim": 2}} for n in ("a", "b")]
    entered = [{"domain": "a", "model": m, "seed": s, "sha256": m * 64} for m, s in (("0", 1), ("1", None))]
    plain: dict[str, Any] = {"name": "t", "size": "s", "training_steps": 3}
    seal = seal_of("1", plain, domains, ["x@1", "y@2"], entered)
    assert seal == seal_of("1", plain, domains[::-1], ["y@2", "x@1"], entered[::-1])
    others = [
        seal_of("2", plain, domains, ["x@1", "y@2"], entered),
        seal_of("1", plain | {"training_steps": 4}, domains, ["x@1", "y@2"], entered),
        seal_of("1", plain, [domains[0], domains[1] | {"generator_version": 2}], ["x@1", "y@2"], entered),
        seal_of("1", plain, domains, ["x@2", "y@2"], entered),
        seal_of("1", plain, domains, ["x@1", "y@2"], [entered[0] | {"sha256": "f" * 64}, entered[1]]),
        seal_of("1", plain, domains, ["x@1", "y@2"], entered[:1]),
    ]
    assert len({seal, *others}) == len(others) + 1
    assert 0 <= seed_of(seal) < 2**60


def test_a_round_scores_everyone_on_states_that_nobody_has_seen(played: Path, runs: list[Path], tiny: Track) -> None:
    made, public = records.read(played), records.read(runs[0])
    assert verified(made)
    assert made["round"]["seal"] == derived(made)
    assert {(e["model"], e["seed"]) for e in made["round"]["entered"]} == {
        (m, s) for m in ("linear", "particle_gnn") for s in (0, 1)
    }
    models = {(s["model"], s["split"]) for s in made["scores"]}
    assert {m for m, split in models if split == "test"} == {
        s["model"] for s in public["scores"] if s["split"] == "test"
    }
    assert {split for _, split in models} == {"test", "long"}
    assert made["domains"][0]["data_manifest"] != public["domains"][0]["data_manifest"]
    row = next(s for s in made["scores"] if (s["model"], s["split"]) == ("particle_gnn", "test"))
    assert row["seeds"] == [0, 1]
    assert {s["model"] for s in made["speed"]} >= {"sph", "particle_gnn"}
    newest = max((records.read(r) for r in runs[:2]), key=lambda r: r["created"])
    assert made["domains"][0]["training_data_seconds"] == newest["domains"][0]["training_data_seconds"]


def test_anyone_can_make_a_rounds_states_again(played: Path, tmp_path: Path) -> None:
    made = records.read(played)
    again = track_of(made["track"])
    assert again.root_seed == seed_of(derived(made))
    folder = generate("fluid", again, tmp_path, splits=["test", "long"])
    assert manifest_hash(folder) == made["domains"][0]["data_manifest"]


def test_a_seal_that_does_not_follow_is_shown_and_not_ranked(played: Path, tmp_path: Path, capsys: Any) -> None:
    made = records.read(played)
    ranks = {e.rank for e in leaderboard.board_of([made]) if e.row["kind"] == "baseline"}
    assert ranks != {"–"}
    for change in ("weights", "seed"):
        forged = copy.deepcopy(made)
        forged["created"] = "2001-01-01T00:00:00+00:00"
        if change == "weights":
            forged["round"]["entered"][0]["sha256"] = "0" * 64
        else:
            forged["track"]["root_seed"] = 7
        assert not verified(forged)
        entries = leaderboard.board_of([made, forged])
        assert {e.rank for e in entries if e.made == forged["created"]} == {"–"}
        assert checked(forged)["holds"] is False
    (tmp_path / "record.json").write_text(json.dumps(forged))
    assert main(["round", "--check", str(tmp_path)]) == 1
    assert main(["round", "--check", str(played)]) == 0


def test_sealed_and_public_results_stand_in_tables_of_their_own(played: Path, runs: list[Path]) -> None:
    entries = leaderboard.board_of([records.read(runs[0]), records.read(played)])
    titles = [t for t in board_text.sections(entries) if "· test ·" in t]
    assert titles == ["fluid · test · smoke · sealed", "fluid · test · smoke"]
    ranked = {t: {e.rank for e in part} - {"–"} for t, part in board_text.sections(entries).items() if t in titles}
    assert all(ranked.values())


def test_a_users_file_enters_a_round(runs: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "still.py"
    file.write_text(
        "import dataclasses\nimport hedgefox as hf\n"
        "from hedgefox.contracts.trajectory import Frame, from_frames\n"
        "from hedgefox.contracts.model import place_driven\n\n\n"
        "class Still(hf.Stepper):\n"
        "    card = hf.ModelCard('still', 'baseline', 'none', 'none', 'none', ('fluid',))\n\n"
        "    def encode(self, past):\n        return past.scene, past.frame(-1)\n\n"
        "    def advance(self, state, script):\n"
        "        scene, frame = state\n"
        "        return scene, place_driven(frame, scene, script)\n\n"
        "    def decode(self, state):\n        return state[1]\n"
    )
    made = records.read(play_round([runs[0], file], tmp_path / "out", timed=False))
    assert "still" in {s["model"] for s in made["scores"]}
    (row,) = [e for e in made["round"]["entered"] if e["model"] == "still"]
    assert row["sha256"] == next(c["source_sha256"] for c in made["contestants"] if c["card"]["name"] == "still")


def test_misuse_of_a_round(runs: list[Path], tmp_path: Path, ballistic: Domain, tiny: Track, capsys: Any) -> None:
    with pytest.raises(MisuseError, match="at least one finished run"):
        play_round([], tmp_path / "a")
    with pytest.raises(MisuseError, match="entered twice"):
        play_round([runs[0], runs[0]], tmp_path / "b")
    other = run(dataclasses.replace(tiny, training_steps=2), tmp_path / "c", ["fluid"], timed=False)
    with pytest.raises(MisuseError, match="different tracks"):
        play_round([runs[0], other], tmp_path / "d")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "record.json").write_text((runs[0] / "record.json").read_text())
    with pytest.raises(MisuseError, match="no weights"):
        play_round([bare], tmp_path / "e")
    assert main(["round", str(runs[0])]) == 2
    assert "--out" in capsys.readouterr().err
    assert main(["round", "--check", str(runs[0])]) == 2


def test_a_record_of_some_domains_is_part_of_those_of_all() -> None:
    groups: Any = {("b",): [3], ("a", "b"): [1, 2], ("c",): [4], ("a", "c", "d"): [5]}
    found: Any = pool._merged(groups)
    assert found == [[1, 2, 3], [5, 4]]
