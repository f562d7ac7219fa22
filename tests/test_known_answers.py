"""Hand-made entries whose results are known beforehand, through the harness as it stands: loading, checking, timing, scoring.

On a clock that is moved by hand the answers are exact. With real sleeps the machine has its say: the bounds there leave a tenth for
sleeps that last too long, and would still see a factor of two.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox.bench.contestants import Contestant, resolve
from hedgefox.bench.equal_accuracy import with_equal_accuracy
from hedgefox.bench.score import Case, prepare, score_case
from hedgefox.bench.timing.clock import Clocks, Effort
from hedgefox.bench.timing.speed import speed_case
from hedgefox.bench.verbs import score, speed
from hedgefox.contracts import CheckFailed, Model, ModelCard, Recipe, Track, Trajectory, check_model, track
from hedgefox.datasets import generate, load

from .ballistic import BALLISTIC

TWIN = """
import time

from hedgefox.contracts import Model, ModelCard
from hedgefox.tests.ballistic import BALLISTIC


class Twin(Model):
    card = ModelCard("mine", "baseline", "none", "none", "a solver under another name", ("ballistic",))

    def __init__(self, solver):
        self.solver = solver

    def rollout(self, past, n_frames):
        time.sleep({sleep})
        return self.solver.rollout(past, n_frames)


def build(domain, size):
    recipe = BALLISTIC.recipe(size)
    solvers = {{"reference": BALLISTIC.reference(recipe), **BALLISTIC.ladder(recipe)}}
    return Twin(solvers["{solver}"])
"""

REPLAYER = """
import torch
from dataclasses import replace

import hedgefox as hf
from hedgefox.contracts import stack

FILMS = hf.load("{data}", "test").split()
PAST = 5


class Replayer(hf.Model):
    card = hf.ModelCard("oracle", "specialist", "none", "none", "memory", ("ballistic",))

    def rollout(self, past, n_frames):
        return stack([self.one(p, n_frames) for p in past.split()])

    def one(self, past, n_frames):
        now = past.position[-1]
        near = [torch.cdist(now, f.position[PAST - 1]).nan_to_num(9.0) for f in FILMS]
        best = min(range(len(FILMS)), key=lambda k: float(near[k].min(1).values.mean()) + abs(len(now) - near[k].shape[1]))
        order = near[best].argmin(1)
        ahead = FILMS[best].frames(PAST, PAST + n_frames)
        scene = past.scene.with_script(past.scene.script.starting_at(past.n_frames))
        lost = 0 * now
        position, velocity = ahead.position[:, order] + lost, ahead.velocity[:, order] + lost
        position[:, scene.driven_nodes] = scene.script.node_position[:n_frames]
        return replace(ahead, scene=scene, position=position, velocity=velocity).with_divergence()
"""


@pytest.fixture(scope="module")
def tiny() -> Track:
    smoke = track("smoke")
    return dataclasses.replace(smoke, trajectories={"train": 2, "valid": 1, "test": 3}, timing_samples=9)


@pytest.fixture(scope="module")
def case(recipe: Recipe, film: Trajectory) -> Case:
    return prepare(BALLISTIC, "test", film, recipe)


def entered(folder: Path, recipe: Recipe, solver: str, sleep: float = 0.0) -> Contestant:
    """A solver of the domain, entered as a user's file with a sleep in it [s]."""
    path = folder / "mine.py"
    path.write_text(TWIN.format(solver=solver, sleep=sleep))
    return resolve(str(path), BALLISTIC, recipe, size="xs", device="cpu")


class Paced(Model):
    """Another model, which spends some seconds beside, in a way of its own."""

    def __init__(self, model: Model, spend: Callable[[], None]) -> None:
        self.model, self.spend = model, spend

    @property
    def card(self) -> ModelCard:
        return self.model.card

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        self.spend()
        return self.model.rollout(past, n_frames)


class ByHand:
    """A clock that stands still but for what is spent on it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.clocks = Clocks(wall=lambda: self.now, cpu=lambda: self.now, synchronise=lambda: None)

    def paced(self, contestant: Contestant, seconds: float) -> Contestant:
        def spend() -> None:
            self.now += seconds

        return dataclasses.replace(contestant, model=Paced(contestant.model, spend))


def measured(case: Case, who: list[Contestant], clocks: Clocks | None = None, samples: int = 5) -> dict[str, Any]:
    """Timed and scored by the harness: entries of the record's speed by model."""
    horizon = case.truth.n_frames
    entries, failures = speed_case(case.past, horizon, who, Effort(samples, 0.0), clocks=clocks)
    assert not failures
    timed = [{"domain": BALLISTIC.name, **entry} for entry in entries]
    return {e["model"]: e for e in with_equal_accuracy(timed, score_case(case, who))}


RUNGS: Mapping[str, float] = {"drag-1.03": 8.0, "drag-1.1": 4.0, "drag-1.4": 2.0, "drag-2.5": 1.0}
"""Seconds of a rollout by rung: the coarser, the cheaper."""


def ladder(recipe: Recipe, spend: Callable[[Contestant, float], Contestant]) -> list[Contestant]:
    """The reference, at 16 s, and its rungs, each made to take its time."""
    reference = spend(Contestant(BALLISTIC.reference(recipe)), 16.0)
    rungs = BALLISTIC.ladder(recipe)
    return [reference, *(spend(Contestant(rungs[name]), seconds) for name, seconds in RUNGS.items())]


# -- the reference with a sleep in it ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("sleep", "expected"), [(16.0, 0.5), (48.0, 0.25), (0.0, 1.0)])
def test_a_reference_with_a_sleep_gets_the_speedup_that_the_sleep_implies(
    case: Case, recipe: Recipe, tmp_path: Path, sleep: float, expected: float
) -> None:
    hand = ByHand()
    mine = hand.paced(entered(tmp_path, recipe, "reference"), 16.0 + sleep)
    found = measured(case, [*ladder(recipe, hand.paced), mine], hand.clocks)["mine"]["speedup_reference"]
    assert (found["value"], found["low"], found["high"]) == pytest.approx((expected, expected, expected))


@pytest.mark.timed
def test_a_real_sleep_in_a_file_is_seen(tmp_path: Path, recipe: Recipe, tiny: Track) -> None:
    sleep = 0.04
    entered(tmp_path, recipe, "reference", sleep)
    made = speed([tmp_path / "mine.py"], domain=BALLISTIC, track=tiny)
    held = {entry["model"]: entry for entry in made["speed"]}
    alone = held["ballistic"]["latency"]["median_s"]
    expected, found = alone / (alone + sleep), held["mine"]["speedup_reference"]
    assert found["low"] <= 1.1 * expected
    assert found["high"] >= 0.9 * expected
    assert held["mine"]["latency"]["median_s"] == pytest.approx(alone + sleep, rel=0.25)


# -- a rung under another name -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNGS)
def test_a_coarse_setting_entered_as_a_model_gets_one(case: Case, recipe: Recipe, tmp_path: Path, rung: str) -> None:
    hand = ByHand()
    mine = hand.paced(entered(tmp_path, recipe, rung), RUNGS[rung])
    found = measured(case, [*ladder(recipe, hand.paced), mine], hand.clocks)["mine"]["speedup_equal_accuracy"]
    assert found["value"] == pytest.approx(1.0)
    assert found["flag"] == ""
    assert found["low"] <= 1.0 + 1e-9
    assert found["high"] >= 1.0 - 1e-9
    assert not found["dominated"]


@pytest.mark.timed
def test_a_coarse_setting_with_real_sleeps_gets_about_one(case: Case, recipe: Recipe, tmp_path: Path) -> None:
    """Sleeps are long beside a rollout (some ms), and no longer than they need be for the dearest."""
    unit = 0.03

    def paced(contestant: Contestant, seconds: float) -> Contestant:
        sleep = unit * min(seconds, 4.0)
        return dataclasses.replace(contestant, model=Paced(contestant.model, lambda: time.sleep(sleep)))

    mine = entered(tmp_path, recipe, "drag-1.4", unit * RUNGS["drag-1.4"])
    # Sleeps are real, and so is what else the machine does: one of three measurements has to be undisturbed.
    tries = (measured(case, [*ladder(recipe, paced), mine])["mine"]["speedup_equal_accuracy"] for _ in range(3))
    seen = []
    for found in tries:
        seen.append((found["low"], found["value"], found["high"]))
        if found["low"] <= 1.1 and found["high"] >= 0.9 and abs(found["value"] - 1) <= 0.25:
            return
    raise AssertionError(seen)


@pytest.mark.parametrize(("factor", "dominated"), [(2.0, True), (0.5, False)])
def test_twice_as_slow_as_an_equal_rung_is_a_half_and_dominated(
    case: Case, recipe: Recipe, tmp_path: Path, factor: float, dominated: bool
) -> None:
    hand = ByHand()
    mine = hand.paced(entered(tmp_path, recipe, "drag-1.4"), factor * RUNGS["drag-1.4"])
    found = measured(case, [*ladder(recipe, hand.paced), mine], hand.clocks)["mine"]["speedup_equal_accuracy"]
    assert found["value"] == pytest.approx(1 / factor)
    assert found["dominated"] is dominated


# -- the truth replayed ------------------------------------------------------------------------------------------------


def test_a_file_that_replays_the_truth_is_refused_for_peeking(tmp_path: Path, tiny: Track) -> None:
    """It keeps the contract of a model in every point, and would score no error."""
    data = generate(BALLISTIC, tiny, tmp_path / "data")
    path = tmp_path / "oracle.py"
    path.write_text(REPLAYER.format(data=data))
    recipe = BALLISTIC.recipe("xs")
    model = resolve(str(path), BALLISTIC, recipe, size="xs", device="cpu").model
    film = load(data, "test")
    assert len(check_model(model, film.frames(0, recipe.past + 1))) == 9
    past = film.frames(0, recipe.past)
    assert torch.allclose(model.rollout(past, recipe.horizon).position, film.position[recipe.past :], atol=1e-6)
    why = r"oracle\.py: oracle answers a state that no file holds as if it were the stored one.*looks its answers up"
    with pytest.raises(CheckFailed, match=why):
        score([path], data, tmp_path / "out", domain=BALLISTIC, track=tiny)
    with pytest.raises(CheckFailed, match=why):
        speed([path], tmp_path / "out", domain=BALLISTIC, track=tiny)
    assert not (tmp_path / "out").exists()
