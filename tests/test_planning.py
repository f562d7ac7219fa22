"""Planning and leaps of fixed shape: futures of a batch are single rollouts, a perfect model finds what is known to be best."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox.contracts import MisuseError, Script, Stepper, Trajectory, registry
from hedgefox.jepa import jepa
from hedgefox.jepa._imagined import RolledOut, prepared
from hedgefox.jepa._leaps import KEPT
from hedgefox.jepa._model import Jepa
from hedgefox.jepa.planning import Drive, Futures, Search, distance_to, futures, plan

from . import particles, sheets, solids
from .test_captured import trouble

FILMS: dict[str, Callable[..., Trajectory]] = {"fluid": particles.film, "cloth": sheets.film, "rigid": solids.film}
PARAMETERS = tuple(sorted({p for make in FILMS.values() for p in make(1, 1).scene.parameters}))
AHEAD = 14
DOCS = Path(__file__).parents[1] / "docs" / "jepa.md"


def past(domain: str = "fluid", scenes: int = 1) -> Trajectory:
    return FILMS[domain](scenes, 8, extra_script=30)


@pytest.fixture(scope="module")
def model() -> Jepa:
    """Weights drawn anew, since as drawn some are zero, and nothing would matter."""
    made = jepa.build("+".join(FILMS), size="xs", parameters=PARAMETERS)
    made.units.measure({name: make(3, 8) for name, make in FILMS.items()}, made.set.history)
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=drawn))
    return made.eval()


@pytest.fixture(scope="module")
def sheet() -> tuple[Stepper[Any], Trajectory]:
    """The cloth's simulator, and a sheet on the floor that will be dragged by a corner along +x."""
    domain = registry.domain("cloth")
    recipe, families = domain.recipe("xs"), len(domain.families)
    start = domain.sample_start(recipe, "train", domain.families.index("drag") % families, 0)
    held = start.scene.script._map(lambda _, x: x[:1].expand(20, *x.shape[1:]).contiguous())
    return domain.reference(recipe, "cpu"), dataclasses.replace(start, scene=start.scene.with_script(held))


DRAG = Drive("node_position", speed=0.6, reach=0.3, knots=3)


# Scripts


def test_velocity_is_linear_from_rest_between_knots_and_ends_at_the_reach() -> None:
    film = past()
    drive, one = Drive("node_position", speed=2.0, reach=1.0, axes=(1,), knots=1), film.scene.script.node_position[7, 0]
    script = drive.script(film, torch.tensor([[[1.0]], [[-9.0]]]), 4)
    gone = script.node_position - one
    # Clipped to one speed; shares 1/4, 2/4, 3/4 and 1 of it.
    expected = 2.0 * film.scene.frame_interval * torch.tensor([0.0, 0.25, 0.75, 1.5, 2.5])
    torch.testing.assert_close(gone[:, 0, 1], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(gone[:, 1, 1], -expected, atol=1e-6, rtol=0)
    assert not gone[..., 0].any()
    near = dataclasses.replace(drive, reach=0.01).script(film, torch.ones(1, 1, 1), 4)
    assert float((near.node_position - one).max()) == pytest.approx(0.01, abs=1e-6)


def test_what_is_not_driven_moves_as_the_scene_says() -> None:
    film = past("cloth")
    script = Drive("node_position", 1.0, 1.0).script(film, torch.zeros(3, 4, 1), AHEAD)
    known = film.scene.script.starting_at(7)
    assert torch.equal(script.obstacle_position, known.obstacle_position[: AHEAD + 1].repeat(1, 3, 1))
    assert torch.equal(script.node_position, known.node_position[:1].expand(AHEAD + 1, -1, -1).repeat(1, 3, 1))


# Futures


@pytest.mark.parametrize("domain", FILMS)
def test_futures_of_a_batch_are_single_rollouts(model: Jepa, domain: str) -> None:
    film = past(domain)
    moves = "node_position" if domain != "rigid" else "box_offset"
    drive, frames = Drive(moves, speed=1.0, reach=0.3, knots=3), (2, 6, 7, AHEAD)
    actions = 2 * torch.rand((5, 3, 1), generator=torch.Generator().manual_seed(1)) - 1
    many = futures(model, film, drive.script(film, actions, AHEAD), frames)
    for k in range(5):
        one = RolledOut(model, film)(drive.script(film, actions[k : k + 1], AHEAD), frames)
        for name in ("position", "velocity", "pose"):
            got, right = getattr(many, name), getattr(one, name)
            assert (got is None) == (right is None)
            if right is not None:
                torch.testing.assert_close(got[:, k], right[:, 0], atol=1e-5, rtol=1e-5)
    assert many.position is not None
    assert float((many.position[:, 1:] - many.position[:, :1]).abs().max()) > 1e-4, "the scripts change nothing"


def test_latents_alone_are_read_by_nobody(model: Jepa, monkeypatch: pytest.MonkeyPatch) -> None:
    film = past()
    script = Drive("node_position", 1.0, 0.3).script(film, torch.zeros(3, 4, 1), AHEAD)
    whole = futures(model, film, script, (4, 9))
    monkeypatch.setattr(model.backbone, "read_all", None)
    bare = futures(model, film, script, (4, 9), read=False)
    assert bare.position is None
    assert bare.latent is not None
    assert whole.latent is not None
    assert bare.latent.shape == (2, 3, model.set.tokens, model.set.width)
    assert torch.equal(bare.latent, whole.latent)
    with pytest.raises(MisuseError, match="latents alone"):
        bare.centre()


def test_the_past_is_encoded_once_for_all_rounds(model: Jepa, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, encode = list[int](), model.encode

    def counted(film: Trajectory) -> Any:
        calls.append(film.n_frames)
        return encode(film)

    monkeypatch.setattr(model, "encode", counted)
    plan(
        model, past(), Drive("node_position", 1.0, 0.3), distance_to([0.0, 0.0]), n_frames=6, search=Search(8, rounds=3)
    )
    assert len(calls) == 1


# Plans


def cost_of(
    model: Stepper[Any], film: Trajectory, actions: torch.Tensor, cost: Callable[[Futures], torch.Tensor]
) -> float:
    return float(cost(futures(model, film, DRAG.script(film, actions.unsqueeze(0), 12), (12,)))[0])


@pytest.mark.parametrize("way", [1.0, -1.0])
def test_with_a_perfect_model_the_plan_is_the_one_known_to_be_best(
    sheet: tuple[Stepper[Any], Trajectory], way: float
) -> None:
    """A goal that a dragged corner cannot bring the sheet to in time: full speed towards it is best, nothing is worst but away."""
    simulator, start = sheet
    still = futures(simulator, start, DRAG.script(start, torch.zeros(1, 3, 1), 12), (12,)).centre()[0, 0]
    cost = distance_to(still + torch.tensor([way, 0.0, 0.0]), axes=(0,))
    found = plan(simulator, start, DRAG, cost, n_frames=12, search=Search(32, rounds=5, elites=0.2))
    best, away = (cost_of(simulator, start, side * way * torch.ones(3, 1), cost) for side in (1, -1))
    assert found.nothing == pytest.approx(1.0, abs=1e-3)
    assert best < found.nothing < away
    # What is planned is what comes of it, round for round better than shooting, and near the best.
    assert cost_of(simulator, start, found.actions, cost) == pytest.approx(found.cost, abs=1e-5)
    assert best - 1e-6 <= found.cost < found.by_round[0] < found.nothing
    assert found.nothing - found.cost >= 0.9 * (found.nothing - best)


def test_the_same_seed_gives_the_same_plan(model: Jepa) -> None:
    film, drive, cost = past(), Drive("node_position", 1.0, 0.3), distance_to([0.0, 0.0])
    first, again, other = (
        plan(model, film, drive, cost, n_frames=6, search=Search(16, rounds=2, seed=seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first.actions, again.actions)
    assert (first.cost, first.by_round) == (again.cost, again.by_round)
    assert not torch.equal(first.actions, other.actions)
    assert first.by_round[1] <= first.by_round[0] <= first.nothing


def test_a_future_that_is_not_finite_is_never_chosen(model: Jepa) -> None:
    film, drive = past(), Drive("node_position", 1.0, 0.3)

    def only_third(seen: Futures) -> torch.Tensor:
        cost = torch.full((8,), torch.nan)
        cost[2] = 5.0
        return cost

    found = plan(model, film, drive, only_third, n_frames=6, search=Search(8))
    assert (found.cost, found.nothing) == (5.0, float("inf"))
    with pytest.raises(MisuseError, match="none of 8 candidates has a finite cost"):
        plan(model, film, drive, lambda seen: torch.full((8,), torch.nan), n_frames=6, search=Search(8))


def test_misuse_says_what_would_be_right(model: Jepa) -> None:
    film, drive = past(), Drive("node_position", 1.0, 0.3)
    script = drive.script(film, torch.zeros(2, 4, 1), 6)
    for ask, said in (
        (lambda: plan(model, past(scenes=2), drive, distance_to([0, 0])), "the film has 2"),
        (lambda: Drive("gravity", 1.0, 1.0).script(film, torch.zeros(1, 4, 1), 3), "no 'gravity'"),
        (lambda: Drive("obstacle_position", 1.0, 1.0).script(film, torch.zeros(1, 4, 1), 3), "no obstacle_position"),
        (lambda: drive.script(film, torch.zeros(2, 3, 1), 3), "(C, 4, 1) is right"),
        (lambda: futures(model, film, script, (7,)), "reach 6 frames ahead; frame 7"),
        (lambda: futures(model, film, script, (3, 3)), "some that rise"),
        (lambda: futures(model, film, dataclasses.replace(script, node_position=script.node_position[:, :1]), (3,)), "2 is right"),
        (lambda: futures(model, film.frames(6), script, (3,)), "5 frames of history"),
        (lambda: plan(model, film, drive, lambda seen: torch.zeros(2), n_frames=3, search=Search(8)), "(8,), is right"),
        (lambda: Search(1), "at least 2"),
    ):  # fmt: skip
        with pytest.raises(MisuseError, match=re.escape(said)):
            ask()


# Leaps of fixed shape


def rollout(model: Jepa, film: Trajectory, captured: bool, script: Script | None = None) -> Trajectory:
    model.captured = captured
    try:
        return model.rollout(film, AHEAD)
    finally:
        model.captured = None


def test_leaps_of_fixed_shape_are_the_plain_ones_bit_for_bit(model: Jepa) -> None:
    ours = copy.deepcopy(model)
    for domain in (*FILMS, *FILMS):
        film = past(domain, scenes=2)
        right, got = rollout(ours, film, False), rollout(ours, film, True)
        assert torch.equal(got.position, right.position)
        assert torch.equal(got.velocity, right.velocity)
    assert ours.leaps.ready


def test_a_leap_keeps_what_it_answered_and_shapes_beyond_a_few_are_dropped(model: Jepa) -> None:
    ours = copy.deepcopy(model)
    film = past()
    rollout(ours, film, True)
    # One frame's leaps and those between, each with and without tokens before them.
    assert len(ours.leaps.ready) == 4
    held = set(map(id, ours.leaps.ready.values()))
    rollout(ours, FILMS["fluid"](1, 8, seed=1, extra_script=30), True)
    assert set(map(id, ours.leaps.ready.values())) == held, "another film of the same shapes has new buffers"
    for scenes in (2, 3, 4):
        rollout(ours, past(scenes=scenes), True)
    assert len(ours.leaps.ready) == KEPT
    assert not copy.deepcopy(ours).leaps.ready


def test_a_leap_asks_the_device_nothing_and_makes_no_tensor_from_the_host(model: Jepa) -> None:
    """What would end a capture; CUDA itself is in test_cuda.py."""
    ours = copy.deepcopy(model)
    rollout(ours, past(), True)
    assert [trouble(leap.function, leap.buffers) for leap in ours.leaps.ready.values()] == [[]] * 4


def test_other_weights_are_other_leaps(model: Jepa) -> None:
    ours = copy.deepcopy(model)
    rollout(ours, past(), True)
    for p in ours.backbone.predictor.parameters():
        p.data = 1.5 * p.data
    assert torch.equal(rollout(ours, past(), True).position, rollout(ours, past(), False).position)


def test_plans_go_in_leaps_of_fixed_shape(model: Jepa) -> None:
    ours, film = copy.deepcopy(model), past()
    script = Drive("node_position", 1.0, 0.3).script(
        film, torch.linspace(-1, 1, 5).view(5, 1, 1).expand(5, 4, 1), AHEAD
    )
    imagine = prepared(ours, film)
    right = imagine(script, (AHEAD,), True)
    ours.captured = True
    got = imagine(script, (AHEAD,), True)
    assert right.latent is not None
    assert got.latent is not None
    assert torch.equal(got.latent, right.latent)
    # From the start, from later on; the part of a stride that is left is told by the condition alone.
    assert len(ours.leaps.ready) == 2


def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = DOCS.read_text().split("```python\n")[1].split("```")[0]
    scope: dict[str, Any] = {}
    exec(compile(code, str(DOCS), "exec"), scope)
    found = scope["found"]
    assert found.cost < found.by_round[0] <= found.nothing
