"""Training steps in calls of one shape: loss and gradients of the plain path, nothing asked of the device, no edge lost unseen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox import datasets, surrogates
from hedgefox.contracts import BodyShape, MisuseError, Trajectory, Wall, stack, track
from hedgefox.contracts.rotation import exponential
from hedgefox.contracts.scene import ABSENT, GROUP_OF
from hedgefox.surrogates import _training
from hedgefox.surrogates._base import Data, Run
from hedgefox.surrogates._captured_training import InOneShape, Plain, source_of
from hedgefox.surrogates._contacts import body_solids, find_contacts, obstacle_solids, pairs_by_place
from hedgefox.surrogates._fixed_graph import Room
from hedgefox.surrogates._training import RATIO, Plan
from hedgefox.surrogates._uniform import Uniform
from torch import Tensor

from . import particles, sheets, solids
from .test_captured import network, trouble
from .test_rigid_gnn import BOX, UPRIGHT, at_rest
from .test_training import Killed, kill_at

FILMS: dict[str, Callable[..., Trajectory]] = {
    "particle_gnn": particles.film,
    "mesh_gnn": sheets.film,
    "rigid_gnn": solids.film,
    "gns of fluid": particles.film,
    "gns of cloth": sheets.film,
    "gns of rigid": solids.film,
}
SCENES = 5


def heap() -> Trajectory:
    """Boxes on boxes, balls and a capsule that touch all else, an obstacle; a lone ball; and the two in one scene's size apart."""
    tip = exponential(torch.tensor([0.7, 0.5, 0.0])).tolist()
    floor = (BOX, [0.5, 0.5, 0.1], [0.0, 0, 0.1, *UPRIGHT])
    many = [
        floor,
        (BOX, [0.2, 0.2, 0.1], [0.1, 0.05, 0.299, *UPRIGHT]),
        (BOX, [0.1, 0.1, 0.1], [-0.3, 0, 0.36, *tip]),
        (BodyShape.CAPSULE, [0.1, 0.2, 0], [0.3, 0.3, 0.51, *UPRIGHT]),
        (BodyShape.BALL, [0.1, 0, 0], [0.29, 0.1, 0.51, *UPRIGHT]),
    ]
    one = [(BodyShape.BALL, [0.2, 0, 0], [1.0, 2, 0.19, *UPRIGHT])]
    starts = [at_rest(many, pusher=[0.1, -0.28, 0.3]), at_rest(one), at_rest(many[:2])]
    start = stack(starts)
    generator = torch.Generator().manual_seed(2)
    assert start.twist is not None
    twist = 0.3 * torch.randn(start.twist.shape, generator=generator)
    # Not where mechanics would lead: a step to learn from.
    later = dataclasses.replace(start, velocity=start.velocity + 0.1, position=start.position + 0.01)
    return dataclasses.replace(start, twist=twist).followed_by(later)


def lesson(name: str, **settings: Any) -> tuple[Any, datasets.Windows]:
    """A network without noise, which more rows would draw anew, and windows to learn from."""
    name, _, kind = name.partition(" of ")
    film = FILMS[f"{name} of {kind}" if kind else name](SCENES, 9, seed=6)
    if name == "rigid_gnn":
        film = heap()
    if name == "mesh_gnn":
        # One half over the other.
        folded = film.position.clone()
        folded[..., 2] += 0.02 * (folded[..., 0] < 0)
        folded[..., 0] = folded[..., 0].abs()
        film = Trajectory(film.scene, folded, film.velocity)
        settings["contact_in_spacings"] = 1.2
    model = lone_gns(film) if name == "gns" else network(film, name, noise=0.0, **settings)
    return model, datasets.Windows(film, model.window)


def both(name: str, **settings: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Loss and gradients of both ways."""
    model, windows = lesson(name, **settings)
    index = batch(windows)
    generator = torch.Generator().manual_seed(1)
    source = InOneShape(model, windows, len(index), generator)
    found = list(source.gradients(index))
    assert not source.room.exceeded()
    loss = model.loss(windows.at(index), generator)
    return found, [loss.detach(), *torch.autograd.grad(loss, source.parameters, materialize_grads=True)]


def lone_gns(film: Trajectory) -> Any:
    """The generalist, of all three domains' units where it needs but one's."""
    settings: dict[str, Any] = {"parameters": tuple(sorted(film.scene.parameters)), "noise": 0.0}
    model: Any = surrogates.create("gns", film.scene.domain, size="xs", seed=0, **settings)
    model.measure(film)
    return model


def batch(windows: datasets.Windows) -> Tensor:
    """Numbers of some windows, one of them twice."""
    return torch.tensor([0, len(windows) // 2, len(windows) - 1, 0])


@pytest.mark.parametrize("name", FILMS)
def test_windows_of_films_filled_up_hold_what_the_others_hold(name: str) -> None:
    """Node by node, edge by edge; what fills up is neither free nor near, and nothing of it is infinite."""
    _, windows = lesson(name)
    films, index = Uniform(windows.film), batch(windows)
    scenes, starts = windows.places(index)
    plain, got = windows.at(index), films.window(scenes, starts, windows.length)
    there = got.scene.node_type != ABSENT
    there &= torch.isin(torch.arange(got.scene.n_nodes), _own_rows(films, scenes))
    assert int(there.sum()) == plain.scene.n_nodes
    for field in ("position", "velocity"):
        assert torch.equal(getattr(got, field)[:, there], getattr(plain, field))
        assert bool(torch.isfinite(getattr(got, field)).all())
    assert torch.equal(got.scene.free[there], plain.scene.free)
    assert not bool(got.scene.free[~there].any())
    number = there.cumsum(0) - 1
    for field in ("edges", "faces"):
        rows = getattr(got.scene, field)
        own = there[rows].all(-1)
        assert torch.equal(number[rows[own]], getattr(plain.scene, field))
        assert not bool(there[rows[~own]].any()), "what fills up is joined to what fills up"
    driven = got.scene.driven_nodes
    mine = there[driven]
    assert torch.equal(number[driven[mine]], plain.scene.driven_nodes)
    n = windows.length
    assert torch.equal(got.scene.script.node_position[:, mine], plain.scene.script.node_position[:n])
    for field, group in GROUP_OF.items():
        if group == "scene":
            assert torch.equal(getattr(got.scene, field), getattr(plain.scene, field))
    assert {k: v.tolist() for k, v in got.scene.parameters.items()} == {
        k: v.tolist() for k, v in plain.scene.parameters.items()
    }
    distance = torch.cdist(got.position[0][~there], plain.position[0])
    assert distance.numel() == 0 or float(distance.min()) > float(got.scene.diagonal.max())


def _own_rows(films: Uniform, scenes: Tensor) -> Tensor:
    n, size = films.scene.scene_ptr.diff()[scenes], films.size["node"]
    return torch.cat([torch.arange(k) + b * size for b, k in enumerate(n.tolist())])


@pytest.mark.parametrize(
    ("name", "settings"),
    [(name, {}) for name in FILMS] + [("particle_gnn", {"bundle": 2})],
)
def test_loss_and_gradients_are_those_of_the_plain_path(name: str, settings: dict[str, Any]) -> None:
    found, expected = both(name, **settings)
    assert float(expected[0]) > 0
    for got, right in zip(found, expected, strict=True):
        most = 2e-5 * float(torch.stack([x.abs().max() for x in expected]).max())
        torch.testing.assert_close(got, right, rtol=2e-4, atol=most)


def test_contacts_and_edges_are_there_to_be_learned_from() -> None:
    for name in ("particle_gnn", "mesh_gnn", "rigid_gnn", "gns of fluid"):
        model, windows = lesson(name)
        source = InOneShape(model, windows, 4, torch.Generator().manual_seed(0))
        source.gradients(batch(windows))
        assert source.room.needed()[0] > 0, name


def test_bodies_that_fill_up_touch_nothing_and_all_else_touches_as_it_does() -> None:
    film = heap()
    films, scenes = Uniform(film), torch.tensor([2, 0, 1])
    got, plain = films.window(scenes, 0 * scenes, 2), film.select(scenes)
    assert got.pose is not None
    assert plain.pose is not None
    solids_of = body_solids(got.scene, got.pose[0]), obstacle_solids(got.scene, got.scene.script)
    known = pairs_by_place(*solids_of, 3)
    found = find_contacts(got.scene, got.pose[0], got.scene.script, 0.05, known, Room.for_needs(200, 0, got.device))
    right = find_contacts(plain.scene, plain.pose[0], plain.scene.script, 0.05)
    n = int((found.body >= 0).sum())
    assert n == len(right.gap) > 20
    assert bool((found.body[n:] < 0).all())
    for field in ("gap", "normal", "point", "velocity"):
        a, b = (_sorted(getattr(x, field)[:n]) for x in (found, right))
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def _sorted(rows: Tensor) -> Tensor:
    flat = rows.reshape(len(rows), -1)
    return flat[torch.argsort(flat @ torch.arange(1.0, flat.shape[1] + 1).sqrt())]


@pytest.mark.parametrize("name", FILMS)
def test_a_step_asks_the_device_nothing_and_makes_no_tensor_from_the_host(name: str) -> None:
    model, windows = lesson(name)
    source = InOneShape(model, windows, 4, torch.Generator())
    assert trouble(lambda index: source.gradients(index), [batch(windows)]) == []


# Whole trainings


@pytest.fixture(scope="module")
def data() -> Data:
    return Data(particles.film(12, 16), particles.film(2, 24, seed=1), "0" * 64)


def taught(data: Data, out: Path, plan: Plan, **more: Any) -> Any:
    """A network trained in calls of one shape."""
    run = Run("particle_gnn", {"fluid": data}, track("smoke"), 0, out, **more)
    model = network(data.train)
    model.captured = True
    _training.fit(model, run, plan)
    return model


def test_a_training_learns_and_resumes_to_the_same_bits(data: Data, tmp_path: Path) -> None:
    plan = Plan(60, 4, 5e-3, check_every=5, checkpoint_every=20, valid_every=30, valid_frames=4, valid_scenes=2)
    whole = taught(data, tmp_path / "whole", plan)
    with pytest.raises(Killed):
        taught(data, tmp_path / "cut", plan, progress=kill_at(50))
    resumed = taught(data, tmp_path / "cut", plan)
    first, second = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert min(line.get(RATIO, 1.0) for line in log(tmp_path / "whole")) < 0.85, "of constant velocity's error"


def test_steps_whose_graphs_did_not_fit_are_made_again_in_a_larger_room(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(20, 2, 5e-3, check_every=5, checkpoint_every=20, valid_every=20, valid_frames=4, valid_scenes=2)
    right = taught(data, tmp_path / "right", plan)
    tight = Room(64, 8, torch.zeros(2, dtype=torch.int64))
    monkeypatch.setattr(InOneShape, "fitting", lambda _: tight)
    got = taught(data, tmp_path / "tight", plan)
    repeated = [line for line in log(tmp_path / "tight") if "again_from" in line]
    assert repeated[0]["again_from"] == 0
    assert [line["step"] for line in log(tmp_path / "tight") if RATIO in line] == [20], "none at the step gone back to"
    assert got.card.training_steps == 20
    for name, weights in right.state_dict().items():
        torch.testing.assert_close(got.state_dict()[name], weights, rtol=1e-4, atol=1e-6)


def log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_gradients_of_several_domains_are_averaged() -> None:
    model, windows = lesson("particle_gnn")
    source = InOneShape(model, windows, 4, torch.Generator().manual_seed(0))
    expected = [x.clone() for x in source.gradients(source.draw())[1:]]
    for parts, times in ((1, 1), (3, 3)):
        model.zero_grad(set_to_none=True)
        for _ in range(times):
            source.generator.manual_seed(0)
            source.add_gradients(parts)
        for p, right in zip(source.parameters, expected, strict=True):
            assert p.grad is not None
            torch.testing.assert_close(p.grad, right)


def test_what_cannot_go_so_takes_the_plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    model, windows = lesson("particle_gnn")
    generator = torch.Generator()
    assert type(source_of(model, windows, 2, generator)) is Plain, "on a CPU, unless asked for"
    model.captured = True
    assert type(source_of(model, windows, 2, generator)) is InOneShape
    around = torch.full_like(windows.film.scene.wall, int(Wall.PERIODIC))
    film = dataclasses.replace(windows.film, scene=dataclasses.replace(windows.film.scene, wall=around))
    assert type(source_of(model, datasets.Windows(film, model.window), 2, generator)) is Plain
    with pytest.raises(MisuseError, match="a periodic axis cannot be filled up"):
        Uniform(film)
    monkeypatch.setattr(type(model), "fixed", False)
    assert type(source_of(model, windows, 2, generator)) is Plain
