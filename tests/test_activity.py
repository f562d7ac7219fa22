"""What moves and what sleeps among the starts that are timed; and how far a process grows in one call."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hedgefox.bench.contestants import Contestant
from hedgefox.bench.timing import memory
from hedgefox.bench.timing.activity import ACTIVE, active_fractions, mean_active, node_spacing
from hedgefox.bench.timing.clock import Effort
from hedgefox.bench.timing.memory import measure_memory, process_growth
from hedgefox.bench.timing.speed import batch_scenes, speed_case
from hedgefox.contracts import Domain, Recipe, Trajectory

CPU = torch.device("cpu")


def moving(film: Trajectory, per_frame: torch.Tensor) -> tuple[Trajectory, Trajectory]:
    """The past of a film, and a continuation in which each node goes so far a frame [m], shape (N,)."""
    past = film.frames(0, 4)
    along = torch.tensor([1.0, 0.0])
    steps = torch.arange(1, 9).view(-1, 1, 1) * per_frame.view(1, -1, 1) * along
    after = film.frames(4, 12)
    return past, dataclasses.replace(after, position=past.position[-1] + steps)


def spacings(past: Trajectory) -> torch.Tensor:
    """The spacing of each node's scene, shape (N,)."""
    found = [node_spacing(one.position[-1]) for one in past.split()]
    return torch.tensor(found)[past.scene.node_scene]


def test_spacing_is_the_distance_to_the_nearest_other_node() -> None:
    grid = torch.cartesian_prod(torch.arange(40) * 0.1, torch.arange(30) * 0.1)
    assert node_spacing(grid) == pytest.approx(0.1, rel=1e-5)
    assert np.isnan(node_spacing(grid[:1]))


def test_a_node_is_active_when_it_goes_a_thousandth_of_the_spacing_a_frame(film: Trajectory) -> None:
    unit = ACTIVE * spacings(film.frames(0, 4))
    assert active_fractions(*moving(film, 1.1 * unit)) == [1.0] * 3
    assert active_fractions(*moving(film, 0.9 * unit)) == [0.0] * 3


def test_the_share_is_of_free_nodes_and_frames_scene_by_scene(film: Trajectory) -> None:
    """Half of the free nodes of one scene move; the driven one moves in all and counts in none."""
    past = film.frames(0, 4)
    scene = past.scene
    free = (scene.free & (scene.node_scene == 1)).nonzero().flatten()
    moves = torch.where(scene.free, 0.0, 1.0)
    moves[free[: len(free) // 2]] = 1.0
    found = active_fractions(*moving(film, moves))
    assert (found[0], found[2]) == (0.0, 0.0)
    assert found[1] == pytest.approx((len(free) // 2) / len(free))


def test_frames_after_a_divergence_are_no_activity(film: Trajectory) -> None:
    past, after = moving(film, torch.ones(film.scene.n_nodes))
    position = after.position.clone()
    position[4:] = torch.nan
    assert active_fractions(past, dataclasses.replace(after, position=position)) == [0.5] * 3


def test_what_is_undefined_is_left_out_of_the_mean() -> None:
    assert mean_active([0.5, None, 1.0]) == 0.75
    assert mean_active([None]) is None
    assert mean_active([]) is None


def test_an_entry_says_how_much_of_what_it_was_timed_on_moves(
    ballistic: Domain, recipe: Recipe, film: Trajectory
) -> None:
    who = [
        Contestant(ballistic.reference(recipe)),
        *(Contestant(m) for m in list(ballistic.ladder(recipe).values())[:1]),
    ]
    past = film.frames(0, 4)
    entries, _ = speed_case(past, 8, who, Effort(2, 0.0), batches=(1, 4))
    each = active_fractions(past, ballistic.reference(recipe).rollout(past, 8))
    order = batch_scenes(past, 4)
    for entry in entries:
        assert entry["active_fraction"] == entry["latency"]["active_fraction"] == each[order[0]]
        timed = [each[k] for k in order[: entry["throughput"]["batch"]]]
        assert entry["throughput"]["active_fraction"] == pytest.approx(mean_active(timed))
    without, _ = speed_case(past, 8, who[1:], Effort(2, 0.0))
    assert without[0]["active_fraction"] is None, "no reference, no figure"


# -- memory of a process -----------------------------------------------------------------------------------------------


def test_a_process_that_grows_in_a_call_is_seen_to_even_when_it_shrinks_again() -> None:
    """A peak of 64 MiB for a moment, which no poll would meet; what was there before is not counted."""
    kept = np.ones(8 * 2**20)

    def work() -> None:
        np.ones(8 * 2**20)

    growth = process_growth(work)
    assert growth is not None
    assert 60 * 2**20 < growth < 90 * 2**20
    quiet = process_growth(lambda: kept.sum())
    assert quiet is not None
    assert quiet < 8 * 2**20


def test_memory_says_of_what_kind_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    found = measure_memory(lambda: np.ones(2**20), CPU)
    assert found["memory_kind"] == "process growth"
    assert found["peak_memory_bytes"] >= 7 * 2**20
    monkeypatch.setattr(memory, "RESET", tmp_path / "no" / "such")
    assert measure_memory(lambda: None, CPU) == {"peak_memory_bytes": None, "memory_kind": None}
