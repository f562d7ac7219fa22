"""A run over several unlike domains: one in two dimensions with driven nodes, one in three with meshes and bodies."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hedgefox import datasets, surrogates
from hedgefox.bench import compare, contestants, environment, leaderboard
from hedgefox.bench import record as records
from hedgefox.bench import run as run_module
from hedgefox.bench.run import run
from hedgefox.contracts import Domain, MisuseError, Track, registry, track
from hedgefox.contracts.card import knows

# Under their package's name, since that is where a worker process finds them.
from hedgefox.tests.ballistic import BALLISTIC
from hedgefox.tests.tumbling import TUMBLING

DOMAINS: list[Domain] = [BALLISTIC, TUMBLING]
TINY: Track = dataclasses.replace(track("smoke"), training_steps=4, only=("persistence", "constant_velocity", "linear"))
"""Of the models, the baselines alone: the others would only take time."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(TINY, tmp_path_factory.mktemp("run"), DOMAINS)


@pytest.fixture
def held(finished: Path) -> dict[str, Any]:
    return records.read(finished)


def test_every_domain_is_in_the_record_with_all_its_contestants(held: dict[str, Any]) -> None:
    assert held["failures"] == []
    assert [d["name"] for d in held["domains"]] == ["ballistic", "tumbling"]
    for domain in DOMAINS:
        names = {c["card"]["name"] for c in held["contestants"] if c["domain"] == domain.name}
        ladder = set(domain.ladder(domain.recipe("xs")))
        assert names >= {domain.name, "persistence", "constant_velocity", "linear"} | ladder
        assert {r["split"] for r in held["scores"] if r["domain"] == domain.name} == {"test", "long"}
        assert {s["kind"] for s in held["speed"] if s["domain"] == domain.name} >= {"reference", "ladder", "baseline"}
    assert [s["name"] for s in held["stages"]] == ["generate", "train", "score", "floor", "speed"]


def test_a_domain_whose_specialist_is_missing_has_baselines_and_a_ladder(held: dict[str, Any]) -> None:
    kinds = {c["card"]["kind"] for c in held["contestants"]}
    assert kinds == {"reference", "ladder", "baseline"}
    for name in surrogates.names():
        file = registry.model(name)
        assert (name in contestants.surrogate_names("tumbling")) == knows(file.DOMAINS, "tumbling")
    specialist = next(n for n in surrogates.names() if not knows(registry.model(n).DOMAINS, "tumbling"))
    with pytest.raises(MisuseError, match="knows nothing of tumbling"):
        surrogates.create(specialist, "tumbling")


def test_board_report_and_compare_keep_domains_apart(finished: Path, held: dict[str, Any]) -> None:
    rows = leaderboard.rows(finished)
    assert {r["domain"] for r in rows} == {"ballistic", "tumbling"}
    for name in ("ballistic", "tumbling"):
        mine = [r for r in rows if (r["domain"], r["split"]) == (name, "test")]
        assert next(r for r in mine if r["kind"] == "reference")["model"] == name
        assert len({r["model"] for r in mine}) == len(mine) == 12
    page = (finished / "report" / "index.html").read_text()
    assert "ballistic" in page
    assert "tumbling" in page
    found = compare.compare("persistence", "linear", finished)
    assert {(p["a"]["domain"], p["a"]["split"]) for p in found["rows"]} == {
        (d, s) for d in ("ballistic", "tumbling") for s in ("test", "long")
    }


def test_bodies_keep_their_poses_through_the_harness(held: dict[str, Any]) -> None:
    rows = [r for r in held["scores"] if (r["domain"], r["split"]) == ("tumbling", "test")]
    by_name = {r["model"]: r["values"]["position_rmse@1"]["last"]["value"] for r in rows}
    assert by_name["tumbling"] == 0
    assert 0 < by_name["pull-1.01"] < by_name["pull-4.0"]
    assert by_name["constant_velocity"] < by_name["persistence"]


def test_two_processes_make_the_same_data_weights_and_scores(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module.Pipeline, "processes", lambda self: 2)
    told: list[str] = []
    again = run(TINY, tmp_path, DOMAINS, progress=lambda what, done, total: told.append(what))
    for domain in DOMAINS:
        a, b = (datasets.manifest_hash(f / "data" / domain.name) for f in (finished, again))
        assert a == b
        weights = Path("weights") / domain.name / "linear" / "seed-0" / "weights.safetensors"
        assert (again / weights).read_bytes() == (finished / weights).read_bytes()
    mine, theirs = records.read(again), records.read(finished)
    assert mine["scores"] == theirs["scores"]
    assert mine["failures"] == []
    assert {"generate tumbling", "train linear on ballistic seed 0", "score tumbling long"} <= set(told)
    assert not list((again / "stages").glob("*.h5")), "truths are forgotten"


def test_a_failure_in_another_process_is_said_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgefox.contracts import HedgefoxError
    from hedgefox.tests.interrupted import Deadly

    monkeypatch.setattr(run_module.Pipeline, "processes", lambda self: 2)
    with pytest.raises(HedgefoxError, match="a worker process died"):
        run(TINY, tmp_path, [Deadly(), TUMBLING])


def test_little_work_and_domains_that_cannot_travel_stay_in_one_process(tmp_path: Path) -> None:
    class Local(type(TUMBLING)):  # type: ignore[misc]
        pass

    def processes(chosen: Track, domains: list[Domain], device: str = "cpu") -> int:
        return run_module.Pipeline(chosen, tmp_path, domains, device, lambda what, done, total: None).processes()

    assert processes(TINY, DOMAINS) == 1
    assert processes(track("quick"), [Local()]) == 1
    assert processes(track("quick"), DOMAINS, "cuda") == 1
    assert processes(track("quick"), DOMAINS) == min(environment.cores(), run_module.MAX_PROCESSES)


def test_a_run_over_several_domains_resumes(finished: Path, held: dict[str, Any]) -> None:
    before = {p: p.stat().st_mtime_ns for p in (finished / "stages").iterdir()}
    run(TINY, finished, DOMAINS)
    again = records.read(finished)
    assert {p: p.stat().st_mtime_ns for p in (finished / "stages").iterdir()} == before
    for part in ("stages", "scores", "speed", "contestants"):
        assert json.dumps(again[part]) == json.dumps(held[part])
