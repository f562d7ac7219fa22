"""gns: one network for all domains keeps the contract in each, keeps bodies rigid, and learns several at once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox import surrogates
from hedgefox.contracts import Domain, MisuseError, Trajectory, check_model, registry, track
from hedgefox.contracts.boundary import obstacle_distance
from hedgefox.contracts.rotation import local_points
from hedgefox.surrogates import _embedding, _store, _training, persistence
from hedgefox.surrogates._base import Data, Run
from hedgefox.surrogates._training import Judge, Plan
from hedgefox.surrogates.gns import GNS, all_parameters, build
from torch import Tensor

from . import particles, sheets, solids
from .test_training import Killed, kill_at

FILMS: dict[str, Any] = {"fluid": particles.film, "cloth": sheets.film, "rigid": solids.film}
ALL = "cloth+fluid+rigid"


def film(kind: str, n_scenes: int = 2, n_frames: int = 6, **more: Any) -> Trajectory:
    found: Trajectory = FILMS[kind](n_scenes, n_frames, **more)
    return found


def awake(size: str = "xs", **settings: Any) -> GNS:
    """A network that knows the units of the small films, whose untrained answer is large enough to notice."""
    films = [film(kind, 3, 8) for kind in FILMS]
    model = build(ALL, size=size, parameters=all_parameters([x.scene for x in films]), **settings)
    for x in films:
        model.measure(x)
    return model.eval()


@pytest.fixture(scope="module")
def data() -> Mapping[str, Data]:
    return {kind: Data(film(kind, 6, 16), film(kind, 2, 24, seed=1), "0" * 64) for kind in FILMS}


def run(data: Mapping[str, Data], out: Path, steps: int, **more: Any) -> Run:
    short = dataclasses.replace(track("smoke"), training_steps=steps)
    return Run("gns", data, short, 0, out, **more)


# The contract


@pytest.mark.parametrize("kind", FILMS)
def test_one_model_keeps_the_contract_in_every_domain(kind: str) -> None:
    assert len(check_model(awake(), registry.domain(kind).example(7))) == 9


def test_an_unknown_domain_is_named(ballistic: Domain) -> None:
    with pytest.raises(MisuseError, match="continues cloth, fluid, rigid; the film is of ballistic"):
        awake().rollout(ballistic.example(6), 1)
    window = ballistic.example(6)
    with pytest.raises(MisuseError, match="knows cloth, fluid, rigid; the scene is of ballistic"):
        awake().loss(window, torch.Generator())


@pytest.mark.parametrize("kind", FILMS)
def test_saved_and_loaded_is_the_same(kind: str, tmp_path: Path) -> None:
    model, past = awake(), film(kind, extra_script=4)
    surrogates.save(model, tmp_path)
    again = surrogates.load(tmp_path)
    assert again.card == model.card
    assert torch.equal(again.rollout(past, 3).position, model.rollout(past, 3).position)


# What it sees


def test_two_axes_in_three_and_back() -> None:
    x = torch.randn(4, 2)
    up = _embedding.lifted(x)
    assert torch.equal(up[:, [0, 2]], x)
    assert not up[:, 1].any()
    assert torch.equal(_embedding.flattened(up, 2), x)
    assert _embedding.lifted(up) is up


def test_a_scene_in_three_axes_has_the_same_obstacles(ballistic: Domain) -> None:
    flat = registry.domain("fluid").example(6)
    scene, x = _embedding.lifted_scene(flat.scene), flat.position[-1]
    assert scene.dim == 3
    near = obstacle_distance(flat.scene, x, flat.scene.script.obstacle_position[0])
    same = obstacle_distance(scene, _embedding.lifted(x), scene.script.obstacle_position[0])
    torch.testing.assert_close(same[0], near[0])
    torch.testing.assert_close(same[1], _embedding.lifted(near[1]))


def test_a_parameter_that_is_withheld_or_foreign_is_flagged() -> None:
    model, scene = awake(), film("rigid").scene
    names = model.set.parameters
    number = len(names)
    known = {n: bool(model.material(scene)[0, number + k]) for k, n in enumerate(names)}
    assert {n for n in names if known[n]} == {"friction", "restitution"}
    hidden = {**scene.parameters, "friction": torch.full((2,), torch.nan)}
    withheld = model.material(dataclasses.replace(scene, parameters=hidden))
    assert withheld[:, number + names.index("friction")].tolist() == [0, 0]
    assert withheld[:, names.index("friction")].tolist() == [0, 0]


def test_nodes_of_one_body_meet_only_through_its_centre() -> None:
    model, scene = awake(), film("rigid").scene
    graph = model.graph(scene, scene.rest_position)
    body, (sender, receiver) = scene.body_id, graph.index
    near, inward = graph.kind == 0, graph.kind == 2
    assert (body[sender[near]] != body[receiver[near]]).all()
    assert torch.equal(receiver[inward] - scene.n_nodes, body[sender[inward]])
    assert int(inward.sum()) == int((graph.kind == 3).sum()) == scene.n_nodes
    torch.testing.assert_close(graph.share.sum(), scene.body_ptr[-1].float())


@pytest.mark.parametrize("kind", FILMS)
def test_it_knows_no_place(kind: str) -> None:
    past = film(kind, extra_script=8)
    shift = torch.tensor([3.0, -2.0, 1.0])[: past.scene.dim]
    script = past.scene.script._map(lambda name, x: x if name == "box_offset" else x + shift)
    scene = dataclasses.replace(past.scene, bounds=past.scene.bounds + shift, script=script)
    pose = None
    if past.pose is not None:
        pose = torch.cat([past.pose[..., :3] + shift, past.pose[..., 3:]], dim=-1)
    moved = dataclasses.replace(past, scene=scene, position=past.position + shift, pose=pose)
    model = awake()
    here, there = (model.rollout(x, 1).position[0] for x in (past, moved))
    torch.testing.assert_close(there - shift, here, atol=5e-5, rtol=0)


# How bodies move


def on_bodies(film: Trajectory) -> Tensor:
    """The nodes of the last frame in the frames of their bodies."""
    assert film.pose is not None
    return local_points(film.position[-1], film.pose[-1], film.scene.body_id)


def test_bodies_stay_rigid_and_tell_their_motion() -> None:
    past = film("rigid", extra_script=12)
    got = awake().rollout(past, 12)
    torch.testing.assert_close(on_bodies(got), on_bodies(past), atol=1e-4, rtol=0)
    assert got.pose is not None
    assert got.twist is not None
    body = past.scene.body_id
    arm = got.position[-1] - got.pose[-1, body, :3]
    speed = got.twist[-1, body, :3] + torch.linalg.cross(got.twist[-1, body, 3:], arm)
    torch.testing.assert_close(speed, got.velocity[-1], atol=1e-3, rtol=0)


# How it learns


def weights(model: Any) -> dict[str, Tensor]:
    found: dict[str, Tensor] = model.state_dict()
    return found


def short_plan(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    small = Plan(12, 1, 2e-3, check_every=2, checkpoint_every=4, valid_every=6, valid_frames=3, valid_scenes=1)
    monkeypatch.setattr("hedgefox.surrogates.gns.Plan", lambda *_: dataclasses.replace(small, **changes))


def log(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "steps_per_second"} for line in lines]


def test_resumed_is_bitwise_the_same(data: Mapping[str, Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short_plan(monkeypatch)
    whole = _store.learn(run(data, tmp_path / "whole", 12))
    with pytest.raises(Killed):
        _store.learn(run(data, tmp_path / "cut", 12, progress=kill_at(10)))
    resumed = _store.learn(run(data, tmp_path / "cut", 12))
    assert all(torch.equal(x, weights(resumed)[k]) for k, x in weights(whole).items())
    assert log(tmp_path / "whole") == log(tmp_path / "cut")
    assert {f"loss_{kind}" for kind in FILMS} <= set(log(tmp_path / "whole")[0])


def test_the_order_of_domains_does_not_matter(
    data: Mapping[str, Data], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_plan(monkeypatch)
    first = _store.learn(run(data, tmp_path / "first", 12))
    second = _store.learn(run(dict(reversed(list(data.items()))), tmp_path / "second", 12))
    assert first.domain == second.domain == ALL
    assert all(torch.equal(x, weights(second)[k]) for k, x in weights(first).items())
    assert weights(build("rigid+cloth+fluid")).keys() == weights(build(ALL)).keys()


def test_learns_all_domains_better_than_persistence(data: Mapping[str, Data], tmp_path: Path) -> None:
    model = _store.learn(run(data, tmp_path, 80))
    for kind, parts in data.items():
        judge = Judge(parts.valid, model.card.history, Plan(0, 0, 0.0, valid_frames=10))
        assert judge.error(model) < judge.error(persistence.build(kind)), kind


# The loop's hooks


class Following(GNS):
    """Counts its steps in its state, and watches itself."""

    def after_step(self) -> None:
        self.mass_mean += 1.0

    def watch(self, valid: Mapping[str, Trajectory]) -> dict[str, float]:
        assert not torch.is_grad_enabled()
        return {"seen": float(sum(x.scene.n_scenes for x in valid.values())), "steps": float(self.mass_mean[0])}


def test_a_model_may_follow_its_steps_and_watch_itself(data: Mapping[str, Data], tmp_path: Path) -> None:
    model = awake()
    model.__class__ = Following
    model.mass_mean.zero_()
    plan = Plan(4, 1, 1e-3, valid_every=2, judged=False)
    _training.fit(model, run(data, tmp_path, 4), plan)
    assert model.mass_mean.tolist() == [4.0] * 3
    assert [x for x in log(tmp_path) if "seen" in x] == [
        {"step": 2, "seen": 6.0, "steps": 2.0},
        {"step": 4, "seen": 6.0, "steps": 4.0},
    ]
    assert model.card.notes.startswith("weights of step 4, the last, kept")
    assert not any("valid_frames" in x for x in log(tmp_path))
