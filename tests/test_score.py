"""Scoring: replaying the truth is perfect, nothing is dropped, a failure is a record, and no model sees more than the past."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hedgefox.bench import curves
from hedgefox.bench._metric import every_metric
from hedgefox.bench.contestants import Contestant, resolve, spread
from hedgefox.bench.score import Case, Score, prepare, score_case
from hedgefox.bench.summary import summarise
from hedgefox.contracts import Domain, MisuseError, Model, ModelCard, Recipe, Trajectory

Answerer = Callable[[Trajectory, int], Trajectory]

KINDS = {"test-model": "specialist", "ballistic": "reference"}


class Scripted(Model):
    """A model that does what it is told, for tests."""

    def __init__(self, answer: Answerer, name: str = "test-model") -> None:
        self.answer, self.seen = answer, list[Trajectory]()
        self._card = ModelCard(name, "specialist", "none", "none", "none", ("*",))

    @property
    def card(self) -> ModelCard:
        return self._card

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        self.seen.append(past)
        return self.answer(past, n_frames)


@pytest.fixture(scope="module")
def case(ballistic: Domain, recipe: Recipe, film: Trajectory) -> Case:
    return prepare(ballistic, "test", film, recipe)


def only(case: Case, answer: Answerer) -> Score:
    return score_case(case, [Contestant(Scripted(answer))])[0]


def replay(case: Case) -> Answerer:
    """The cheating model: it was given the truth, in the harness's own batches of scenes."""
    place = {tuple(case.past.select([b]).position.flatten().tolist()): b for b in range(case.past.scene.n_scenes)}

    def answer(past: Trajectory, n_frames: int) -> Trajectory:
        return case.truth.select([place[tuple(p.position.flatten().tolist())] for p in past.split()])

    return answer


def test_a_cheating_model_that_replays_the_truth_scores_exactly_zero(case: Case) -> None:
    score = only(case, replay(case))
    assert score.failure is None
    for m in every_metric():
        if m.id in score.curves and m.better == "lower":
            held = score.curves[m.id]
            assert held.shape == (8, 3)
            assert (held[~np.isnan(held)] == 0).all(), m.id


def test_the_truth_is_the_reference_restarted_and_agrees_with_the_stored_film(case: Case, film: Trajectory) -> None:
    assert case.truth.n_frames == 8
    assert torch.allclose(case.truth.position, film.position[5:], atol=1e-5)


def test_the_harness_is_not_deaf(case: Case, ballistic: Domain, recipe: Recipe) -> None:
    """A rung with another drag is worse than nothing wrong, and a cruder rung is worse than that."""
    ladder = ballistic.ladder(recipe)
    scores = score_case(case, [Contestant(ladder["drag-1.1"]), Contestant(ladder["drag-4.0"])])
    a, b = (s.curves["position_rmse@1"][-1] for s in scores)
    assert (a > 0).all()
    assert (b > 5 * a).all()


def test_models_see_only_the_past_in_memory_of_their_own(case: Case, film: Trajectory) -> None:
    def spoil(past: Trajectory, n_frames: int) -> Trajectory:
        answer = replay(case)(past, n_frames)
        past.position.fill_(7.0)
        past.scene.script.node_position.fill_(7.0)
        return answer

    before = film.position.clone()
    spoiler = Scripted(spoil)
    honest = Scripted(replay(case), "second")
    score_case(case, [Contestant(spoiler), Contestant(honest)])
    assert torch.equal(film.position, before)
    seen = honest.seen[0]
    assert seen.n_frames == 5
    assert torch.equal(seen.position, before[:5])
    assert seen.position.untyped_storage().nbytes() == seen.position.numel() * 4, "later frames lie in the same memory"


def test_a_diverged_scene_stays_in_the_mean_with_its_capped_error(case: Case) -> None:
    def blow_up(past: Trajectory, n_frames: int) -> Trajectory:
        film = replay(case)(past, n_frames)
        x = film.position.clone()
        x[3:, film.scene.node_scene == 1] = torch.inf
        return dataclasses.replace(film, position=x)

    score = only(case, blow_up)
    assert score.diverged_at is not None
    assert score.diverged_at.tolist() == [-1, 3, -1]
    row = summarise([score], KINDS, every_metric(), 0.02)[0]
    assert row["diverged_share"] == pytest.approx(1 / 3)
    assert row["values"]["position_rmse@1"]["last"]["value"] == pytest.approx(2**0.5 / 3)
    assert row["trust_horizon"]["value"] == pytest.approx((8 + 3 + 8) / 3)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda past, n: 1 / 0, "ZeroDivisionError"),
        (lambda past, n: past, "5 frames; 8"),
        (lambda past, n: past.select([0]), "frames"),
    ],
)
def test_a_model_that_fails_is_recorded_and_stops_nobody(case: Case, answer: Answerer, why: str) -> None:
    scores = score_case(case, [Contestant(Scripted(answer)), Contestant(Scripted(replay(case), "next"))])
    assert scores[0].failure is not None
    assert why in scores[0].failure
    assert not scores[0].curves
    assert scores[1].failure is None
    assert summarise(scores, {**KINDS, "next": "specialist"}, every_metric(), 0.02)[0]["model"] == "next"


def test_a_model_cannot_move_the_goalposts(case: Case) -> None:
    """Declaring every node driven in the answer's scene must not empty the mean."""

    def all_driven(past: Trajectory, n_frames: int) -> Trajectory:
        film = replay(case)(past, n_frames)
        scene = dataclasses.replace(film.scene, node_type=torch.ones_like(film.scene.node_type))
        return dataclasses.replace(film, scene=scene, position=film.position + 0.1)

    got = only(case, all_driven).curves
    np.testing.assert_allclose(got["position_rmse@1"], 0.1 * 2**0.5, rtol=1e-4)
    assert (got["kinetic_energy_error@1"] == 0).all(), "its nodes are as free as the truth's"


def test_batches_are_bounded_and_do_not_change_the_score(
    case: Case, ballistic: Domain, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung = Contestant(ballistic.ladder(recipe)["drag-2.5"])
    whole = score_case(case, [rung])[0].curves["position_rmse@1"]
    monkeypatch.setattr("hedgefox.bench.score.MAX_NODES", 7)
    model = Scripted(rung.model.rollout)
    parts = score_case(case, [Contestant(model)])[0].curves["position_rmse@1"]
    assert len(model.seen) > 1
    assert all(p.scene.n_nodes <= 7 or p.scene.n_scenes == 1 for p in model.seen)
    np.testing.assert_allclose(parts, whole, rtol=1e-4)


class Blurred(Scripted):
    """Rolls out as told; what it decodes of the truth is off by 0.1 m on each axis."""

    def reconstruct(self, past: Trajectory, truth: Trajectory) -> Trajectory:
        self.seen.append(truth)
        return dataclasses.replace(truth, position=truth.position + 0.1)


def test_a_decode_floor_is_of_models_that_reconstruct_and_null_for_others(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hedgefox.bench.score.MAX_NODES", 7)
    blurred = Blurred(replay(case), "blurred")
    scores = score_case(case, [Contestant(blurred), Contestant(Scripted(replay(case)))])
    np.testing.assert_allclose(scores[0].curves["decode_floor@1"], 0.1 * 2**0.5, rtol=1e-4)
    assert (scores[0].curves["position_rmse@1"] == 0).all(), "the rollout is judged as it was"
    assert [film.n_frames for film in blurred.seen] == [5, 5, 5, 8, 8, 8], "in the batches of the rollout"
    assert "decode_floor@1" not in scores[1].curves
    rows = summarise(scores, {**KINDS, "blurred": "generalist"}, every_metric(), 0.02)
    assert rows[0]["values"]["decode_floor@1"]["last"]["value"] == pytest.approx(0.1 * 2**0.5)
    assert set(rows[1]["values"]["decode_floor@1"].values()) == {None}
    assert rows[0]["values"].keys() == rows[1]["values"].keys()


def test_a_reconstruction_that_fails_is_a_failure(case: Case) -> None:
    class Broken(Scripted):
        def reconstruct(self, past: Trajectory, truth: Trajectory) -> Trajectory:
            return past

    failed = score_case(case, [Contestant(Broken(replay(case)))])[0]
    assert failed.failure is not None
    assert "5 frames; 8" in failed.failure


def test_films_of_another_recipe_are_misuse(ballistic: Domain, recipe: Recipe, film: Trajectory) -> None:
    with pytest.raises(MisuseError, match=r"13 frames; 21"):
        prepare(ballistic, "long", film, recipe)


def test_curves_survive_the_disk(case: Case, tmp_path: Path) -> None:
    score = only(case, replay(case))
    failed = Score("ballistic", "test", "broken", 3, failure="RuntimeError: no")
    curves.write(tmp_path / "c.parquet", [score, dataclasses.replace(score, model="again", seed=2), failed])
    back = curves.read(tmp_path / "c.parquet")
    assert [(s.model, s.seed) for s in back] == [("test-model", None), ("again", 2)]
    assert back[0].curves.keys() == score.curves.keys()
    for name, values in score.curves.items():
        np.testing.assert_array_equal(back[1].curves[name], values)


def test_no_curves_are_a_table_too_and_a_foreign_file_is_refused(tmp_path: Path) -> None:
    curves.write(tmp_path / "none.parquet", [])
    assert curves.read(tmp_path / "none.parquet") == []
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(MisuseError, match=r"bad\.parquet"):
        curves.read(tmp_path / "bad.parquet")


def test_seeds_are_taken_together(case: Case) -> None:
    base = only(case, replay(case))
    scores = [dataclasses.replace(base, seed=s, curves={k: v + s for k, v in base.curves.items()}) for s in (0, 1, 2)]
    row = summarise(scores, KINDS, every_metric(), 0.02)[0]
    assert row["seeds"] == [0, 1, 2]
    held = row["values"]["position_rmse@1"]["1"]
    assert held["value"] == pytest.approx(1.0)
    assert held["low"] < 0.5 < 1.5 < held["high"], "the spread over seeds is in the interval"


def test_rungs_are_spread_evenly() -> None:
    names = [f"r{k}" for k in range(9)]
    assert spread(names, 3) == ["r0", "r4", "r8"]
    assert spread(names, 1) == ["r4"]
    assert spread(names, 0) == []
    assert spread(names, 20) == names


def test_unknown_models_are_named_with_what_exists(ballistic: Domain, recipe: Recipe) -> None:
    with pytest.raises(MisuseError, match=r"unknown model 'nonsense'.*drag-1\.01.*persistence"):
        resolve("nonsense", ballistic, recipe, size="xs", device="cpu")
    assert resolve("drag-1.4", ballistic, recipe, size="xs", device="cpu").model.card.kind == "ladder"
    with pytest.raises(MisuseError, match="must be trained first"):
        resolve("linear", ballistic, recipe, size="xs", device="cpu")
