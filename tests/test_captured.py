"""Steps of fixed shape: the same edges and rollouts as the plain path, no question to the device, and no overflow in silence."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hedgefox import surrogates
from hedgefox.contracts import MisuseError, Trajectory, Wall
from hedgefox.surrogates import _captured_rollout
from hedgefox.surrogates._captured import Captured, outline, rebuilt, tensors_of
from hedgefox.surrogates._fixed_graph import Near, Room, fixed_graph
from hedgefox.surrogates._neighbours import radius_graph, spatial_order
from hedgefox.surrogates._specialist import Accelerated
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from . import particles, sheets, solids


def network(film: Trajectory, name: str = "particle_gnn", **settings: Any) -> Accelerated:
    known = {"dim": film.scene.dim, "parameters": tuple(sorted(film.scene.parameters)), **settings}
    if film.scene.domain == "fluid":
        known["spacing"] = particles.SPACING
    model: Accelerated = surrogates.create(name, film.scene.domain, size="xs", **known)  # type: ignore[assignment]
    model.measure(film)
    return model.eval()


def edges_of(near: Near) -> Tensor:
    """In the numbers of the nodes themselves."""
    assert near.receiver_ptr is not None
    return near.order[near.index[:, : int(near.receiver_ptr[-1])]]


def cloud(dim: int, seed: int) -> tuple[Tensor, Any]:
    film = particles.film(3, 1, nodes=50, seed=seed)
    scene, n = film.scene, film.scene.n_nodes
    x = torch.rand((n, dim), generator=torch.Generator().manual_seed(seed))
    x[4], x[60] = x[3], torch.nan
    return x, scene


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("radius", [0.05, 0.21, 3.0])
def test_the_graph_of_fixed_shape_has_the_edges_of_the_other_in_its_order(dim: int, radius: float) -> None:
    x, scene = cloud(dim, 7)
    near = fixed_graph(x, radius, scene, Room.for_needs(9000, 100, x.device))
    order = near.order
    plain = radius_graph(x, radius, scene.scene_ptr)
    assert set(map(tuple, edges_of(near).T.tolist())) == set(map(tuple, plain.T.tolist()))
    sender, receiver = near.index[:, : plain.shape[1]]
    key = receiver * len(x) + sender
    assert bool((key[1:] > key[:-1]).all()), "sorted by receiver, then sender"
    finite = torch.isfinite(x).all(-1)
    usual = spatial_order(x, radius, scene.scene_ptr)
    assert torch.equal(order[finite[order]], usual[finite[usual]])
    assert torch.equal(near.receiver_ptr.diff(), torch.bincount(receiver, minlength=len(x)))  # type: ignore[union-attr]


def test_edges_on_the_brim_of_the_radius_are_kept() -> None:
    """A lattice as wide as the radius: rounding decides, and decides alike."""
    for k, radius in itertools.product(range(3), (0.1, 0.1 + 1e-9, 1 / 3, 0.7)):
        line = torch.arange(40, dtype=torch.float32).unsqueeze(-1) * radius + 0.37 * k
        x = torch.cat([line, torch.zeros_like(line)], -1)
        scene = particles.film(1, 1, nodes=40).scene
        near = fixed_graph(x, radius, scene, Room.for_needs(400, 40, x.device))
        plain = radius_graph(x, radius, scene.scene_ptr)
        assert set(map(tuple, edges_of(near).T.tolist())) == set(map(tuple, plain.T.tolist()))


@pytest.mark.parametrize("short", ["edges", "run"])
def test_a_room_too_small_says_so_and_what_would_do(short: str) -> None:
    x, scene = cloud(2, 5)
    enough = Room.for_needs(9000, 100, x.device)
    fixed_graph(x, 0.3, scene, enough)
    assert not enough.exceeded()
    edges, run = enough.needed()
    assert edges == radius_graph(x, 0.3, scene.scene_ptr).shape[1]
    exact = Room(edges, run, torch.zeros_like(enough.used))
    fixed_graph(x, 0.3, scene, exact)
    assert not exact.exceeded()
    small = dataclasses.replace(exact.emptied(), **{short: getattr(exact, short) - 1})
    fixed_graph(x, 0.3, scene, small)
    assert small.exceeded()
    larger = small.larger()
    fixed_graph(x, 0.3, scene, larger)
    assert not larger.exceeded()


@pytest.mark.parametrize("bundle", [1, 4])
@pytest.mark.parametrize("scenes", [1, 3])
def test_rollouts_in_calls_of_fixed_shape_are_the_plain_ones(scenes: int, bundle: int) -> None:
    film = particles.film(scenes, 9, seed=2, extra_script=6)
    model = network(film, bundle=bundle)
    plain = model.rollout(film, 6)
    model.captured = True
    got = model.rollout(film, 6)
    assert model.calls.ready, "the fixed path ran"
    torch.testing.assert_close(got.position, plain.position, rtol=0, atol=1e-6)
    torch.testing.assert_close(got.velocity, plain.velocity, rtol=0, atol=1e-4)
    assert torch.equal(got.scene.script.node_position, plain.scene.script.node_position)
    assert torch.equal(model.rollout(film, 6).position, got.position)


@pytest.mark.parametrize("scenes", [1, 3])
def test_sheets_that_touch_themselves_move_alike(scenes: int) -> None:
    film = sheets.film(scenes, 9, seed=2, extra_script=6)
    # Every sheet is folded, so that contacts are there and change.
    folded = film.position.clone()
    folded[..., 0] = (folded[..., 0] - 0.2).abs() + 0.2
    film = dataclasses.replace(film, position=folded)
    model = network(film, "mesh_gnn", contact_in_spacings=1.2)
    plain = model.rollout(film, 6)
    model.captured = True
    got = model.rollout(film, 6)
    used = next(iter(model.calls.ready.values())).state.room
    assert used is not None
    assert used.needed()[0] > 0, "there are contacts"
    torch.testing.assert_close(got.position, plain.position, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scenes", [1, 3])
def test_bodies_that_touch_move_alike(scenes: int) -> None:
    film = solids.film(scenes, 6, seed=4, extra_script=12)
    model = network(film, "rigid_gnn")
    plain = model.rollout(film, 12)
    model.captured = True
    got = model.rollout(film, 12)
    assert max(call.state.room.needed()[0] for call in model.calls.ready.values() if call.state.room) > 0, "contacts"
    for name in ("position", "velocity", "pose", "twist"):
        a, b = getattr(got, name), getattr(plain, name)
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * float(b.abs().max()), msg=name)


def test_products_in_bfloat16_are_near_those_in_float32_and_nothing_else_changes() -> None:
    film = particles.film(2, 9, seed=2, extra_script=6)
    single, half = (network(film, name) for name in ("particle_gnn", "particle_gnn-bfloat16"))
    half.load_state_dict(single.state_dict())
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    a, b = (model.rollout(film, 1).position for model in (single, half))
    still = film.position[-1] + (film.position[-1] - film.position[-2])
    off, moved = (b - a).norm(), (a - still).norm()
    assert 0 < off < 0.02 * moved, "two decimals of what the network says"
    half.captured = True
    torch.testing.assert_close(half.rollout(film, 1).position, b, rtol=0, atol=1e-5)
    with pytest.raises(MisuseError, match="'float8'; 'float32' or 'bfloat16' is right"):
        network(film, precision="float8")


def test_a_call_that_is_ready_serves_other_scenes_of_its_shape_and_other_weights_get_their_own() -> None:
    film, other = (particles.film(2, 9, seed=s, extra_script=6) for s in (2, 3))
    model = network(film)
    expected = model.rollout(other, 5)
    model.captured = True
    model.rollout(film, 5)
    torch.testing.assert_close(model.rollout(other, 5).position, expected.position, rtol=0, atol=1e-6)
    assert len(model.calls.ready) == 1
    with torch.no_grad():
        next(model.parameters()).mul_(0.5)
    changed = model.rollout(other, 5)
    assert not torch.allclose(changed.position, expected.position, atol=1e-6)
    copied = copy.deepcopy(model)
    assert not copied.calls.ready
    assert torch.equal(copied.rollout(other, 5).position, changed.position)


def test_a_rollout_that_outgrows_its_room_is_done_again_in_a_larger_one(monkeypatch: pytest.MonkeyPatch) -> None:
    film = particles.film(2, 9, seed=2, extra_script=6)
    model = network(film)
    plain = model.rollout(film, 6)
    tight = Room(64, 8, torch.zeros(2, dtype=torch.int64))
    monkeypatch.setattr(_captured_rollout, "fitting", lambda *_: tight)
    model.captured = True
    torch.testing.assert_close(model.rollout(film, 6).position, plain.position, rtol=0, atol=1e-6)
    assert len(model.calls.ready) > 1, "the first room was too small"
    calls = len(model.calls.ready)
    model.rollout(film, 6)
    assert len(model.calls.ready) == calls, "what was learned of the room is kept"
    monkeypatch.setattr(_captured_rollout, "TRIES", 0)
    assert torch.equal(model.rollout(film, 6).position, plain.position), "without a room, the plain path"


def test_a_scene_that_explodes_diverges_as_it_does_on_the_plain_path() -> None:
    film = particles.film(2, 9, seed=2, extra_script=6)
    film.position[-1, 3] = torch.nan
    model = network(particles.film(2, 9, seed=2))
    plain = model.rollout(film, 4)
    model.captured = True
    got = model.rollout(film, 4)
    assert got.diverged_at is not None
    assert got.diverged_at.tolist() == plain.diverged_at.tolist() == [0, -1]  # type: ignore[union-attr]
    torch.testing.assert_close(got.position, plain.position, rtol=0, atol=1e-6, equal_nan=True)


def test_scenes_that_go_around_take_the_plain_path() -> None:
    film = particles.film(1, 9, extra_script=4)
    model = network(film)
    around = dataclasses.replace(film.scene, wall=torch.full((1, 2, 2), int(Wall.PERIODIC)))
    model.captured = True
    model.rollout(dataclasses.replace(film, scene=around), 2)
    assert not model.calls.ready


def trouble(function: Callable[..., Any], examples: Sequence[Tensor]) -> list[str]:
    """What would end a capture on a GPU: numbers read, shapes that depend on them, constants copied there from the host."""
    traced = make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*examples)
    nodes = [node for node in traced.graph.nodes if node.op == "call_function"]
    found = [str(n.target) for n in nodes if "lift_fresh" in str(n.target) or "_local_scalar" in str(n.target)]
    shapes = [(str(n.target), x.shape) for n in nodes if isinstance(x := n.meta.get("val"), Tensor)]
    return found + [name for name, shape in shapes if not all(type(size) is int for size in shape)]


@pytest.mark.parametrize("name", ["particle_gnn", "particle_gnn-bundle_2", "mesh_gnn", "rigid_gnn"])
def test_a_step_asks_the_device_nothing_and_makes_no_tensor_from_the_host(name: str) -> None:
    film = {"mesh_gnn": sheets, "rigid_gnn": solids}.get(name, particles).film(2, 9, seed=2, extra_script=6)
    model = network(film, name)
    model.captured = True
    model.rollout(film, 4)
    call = next(iter(model.calls.ready.values()))
    assert trouble(call.captured.function, call.captured.buffers) == []


def test_what_would_end_a_capture_is_seen() -> None:
    x = torch.arange(3.0)
    assert trouble(lambda x: x * 2, [x]) == []
    assert "nonzero" in str(trouble(lambda x: torch.nonzero(x).flatten() + 1, [x]))
    assert "index" in str(trouble(lambda x: x[x > 1] + 1, [x]))
    assert "lift_fresh" in str(trouble(lambda x: x + torch.tensor([1.0, 2, 3]), [x]))
    assert "_local_scalar" in str(trouble(lambda x: x * x.max().item(), [x]))


def test_captured_fills_its_buffers_and_leaves_the_callers_alone() -> None:
    def function(x: Tensor, y: Tensor) -> tuple[Tensor]:
        x.add_(y)
        return (x * 2,)

    x, y = torch.ones(3), torch.full((3,), 2.0)
    call = Captured(function, [x, y])
    assert call(x, y)[0].tolist() == [6.0] * 3
    assert call()[0].tolist() == [10.0] * 3, "what the function wrote stays"
    assert call(torch.zeros(3))[0].tolist() == [4.0] * 3
    assert x.tolist() == [1.0] * 3
    with pytest.raises(RuntimeError):
        call(torch.zeros(4))


def test_trees_are_taken_apart_and_put_together() -> None:
    film = particles.film(2, 3)
    scene = film.scene
    again = rebuilt((film, {"a": [scene.mass]}), iter(x.clone() for x in tensors_of((film, {"a": [scene.mass]}))))
    assert outline(again) == outline((film, {"a": [scene.mass]}))
    assert torch.equal(again[0].scene.node_scene, scene.node_scene)
    assert again[0].scene.node_scene is again[0].scene.__dict__["node_scene"]
    assert outline(film) != outline(particles.film(3, 3))
