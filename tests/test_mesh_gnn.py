"""mesh_gnn: the sheet is held together, links and contacts are found where they are, and it learns to swing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox import surrogates
from hedgefox.contracts import MisuseError, Trajectory, stack, track
from hedgefox.contracts.boundary import penetration
from hedgefox.surrogates import _mesh, _store
from hedgefox.surrogates._base import Data, Run
from hedgefox.surrogates._sheet_motion import Sheet, outside, tethers, unstretched
from hedgefox.surrogates._training import Judge, Plan
from hedgefox.surrogates.mesh_gnn import WIND, MeshGNN, wind_velocity
from hedgefox.surrogates.mesh_gnn import build as build_mesh_gnn
from torch import Tensor

from . import sheets


def strain(film: Trajectory, position: Tensor) -> Tensor:
    """RMS strain of the mesh edges of each frame."""
    first, second = film.scene.edges.unbind(-1)
    rest = film.scene.rest_position
    size = (rest[first] - rest[second]).norm(dim=-1)
    found: Tensor = ((position[..., first, :] - position[..., second, :]).norm(dim=-1) / size - 1).square().mean(-1)
    return found.sqrt()


def held(film: Trajectory) -> Any:
    return tethers(film.scene, _mesh.far_links(film.scene, 3 * sheets.SPACING, 0.05))


# Graphs over the sheet


def test_far_links_join_what_is_so_far_apart_along_the_axes() -> None:
    film = sheets.film(2, 1)  # 5 x 5 and 6 x 6 vertices
    links = _mesh.far_links(film.scene, 3 * sheets.SPACING, 0.05)
    assert len(links) == 2 * 5 * 2 + 2 * 6 * 3
    assert (film.scene.node_scene[links[:, 0]] == film.scene.node_scene[links[:, 1]]).all()
    offset = film.scene.rest_position[links[:, 0]] - film.scene.rest_position[links[:, 1]]
    torch.testing.assert_close(offset.norm(dim=-1), torch.full((len(links),), 0.3))
    assert len(torch.unique(links.sort(-1).values, dim=0)) == len(links)


def test_a_folded_sheet_touches_itself_and_a_flat_one_does_not() -> None:
    film = sheets.film(2, 1)
    flat = film.scene.rest_position + torch.tensor([0.0, 0.0, 0.5])
    assert _mesh.self_contacts(film.scene, flat, 0.12).shape[1] == 0
    folded = flat.clone()
    over = folded[:, 0] > 0.25
    folded[over, 0] = 0.5 - folded[over, 0]
    folded[over, 2] += 0.02
    found = _mesh.self_contacts(film.scene, folded, 0.05)
    assert found.shape[1] > 0
    assert torch.equal(found.flip(0).T.sort(0).values, found.T.sort(0).values), "both ways"
    assert (film.scene.node_scene[found[0]] == film.scene.node_scene[found[1]]).all()
    assert ((folded[found[0]] - folded[found[1]]).norm(dim=-1) <= 0.05).all()


def test_normals_of_a_flat_sheet_are_upright() -> None:
    film = sheets.film(2, 1)
    normal = _mesh.vertex_normals(film.scene, film.scene.rest_position)
    torch.testing.assert_close(normal.abs(), torch.tensor([0.0, 0, 1]).expand_as(normal))


# How a sheet is held


def test_corrections_take_the_stretch_out_and_leave_driven_vertices() -> None:
    film = sheets.film(3, 1, side=8)
    stretched = film.position[0] + 0.3 * (film.position[0] - film.position[0].mean(0)) * torch.tensor([1.0, 1.0, 0.0])
    driven = film.scene.driven_nodes
    stretched[driven] = film.position[0, driven]
    done = unstretched(stretched, held(film), 40, 0.97)
    assert float(strain(film, done)) < 0.1 * float(strain(film, stretched))
    assert torch.equal(done[driven], stretched[driven])


def test_links_across_the_sheet_only_pull() -> None:
    """A folded sheet keeps its shape: its edges have their length, and far links may be as short as they like."""
    film = sheets.film(1, 1, side=5)
    folded = film.scene.rest_position.clone()
    over = folded[:, 0] > 0.2
    folded[over, 0] = 0.4 - folded[over, 0]
    folded[over, 2] += 1e-4
    torch.testing.assert_close(unstretched(folded, held(film), 15, 0.97), folded, atol=1e-3, rtol=0)


def test_nothing_stays_inside_floor_or_ball() -> None:
    film = sheets.film(2, 1)
    scene, script = film.scene, film.scene.script
    script = dataclasses.replace(
        script, **{n: getattr(script, n).repeat(2, 1, 1) for n in ("box_offset", "obstacle_position", "node_position")}
    )
    sunk = film.position[0].clone()
    sunk[7, 2], sunk[8] = -0.2, torch.tensor([0.02, 0.0, 0.3])
    done = outside(scene, sunk, script)
    depth = penetration(scene, done, script.box_offset[1], script.obstacle_position[1])
    assert not depth[scene.free].any()
    torch.testing.assert_close(done[7, 2], torch.tensor(0.01))  # half the thickness
    torch.testing.assert_close((done[8] - torch.tensor([0.0, 0, 0.3])).norm(), torch.tensor(0.16))


def test_a_free_sheet_falls_as_everything_does() -> None:
    film = sheets.film(1, 2, extra_script=2)
    scene = dataclasses.replace(film.scene, node_type=torch.zeros_like(film.scene.node_type))
    scene = scene.with_script(dataclasses.replace(scene.script, node_position=scene.script.node_position[:, :0]))
    high = film.scene.rest_position + torch.tensor([0.0, 0.0, 5.0])
    position = torch.stack([high, high + torch.tensor([0.01, 0.02, -0.01])])
    state = Sheet(scene, position, held(dataclasses.replace(film, scene=scene)), 15, 10, 0.97)
    expected = 2 * position[1] - position[0] + torch.tensor([0.0, 0, -9.81 * 0.02**2])
    torch.testing.assert_close(state.flown(scene.script.starting_at(1)), expected, atol=1e-5, rtol=0)


# The model


def awake(**settings: Any) -> MeshGNN:
    """A network whose untrained answer is large enough to notice."""
    model = build_mesh_gnn("cloth", size="xs", seed=1, spacing=sheets.SPACING, **settings)
    model.acceleration_std.fill_(0.01)
    return model.eval()


def step(model: MeshGNN, film: Trajectory) -> Tensor:
    return model.rollout(film, 1).position[0]


def test_it_knows_no_place_and_no_uniform_motion() -> None:
    """Sheet, box, ball, script and air moving on together change nothing but the motion itself."""
    film = sheets.film(2, 8, extra_script=4)
    drift = torch.tensor([0.004, -0.002, 0.001])
    by = torch.tensor([3.0, -2.0, 1.0]) + torch.arange(12).reshape(-1, 1, 1) * drift
    blown = {k: film.scene.parameters[k] + d / sheets.INTERVAL for k, d in zip(WIND, drift.tolist(), strict=True)}
    scene = dataclasses.replace(
        film.scene,
        script=film.scene.script._map(lambda name, x: x + by),
        parameters={**film.scene.parameters, **blown},
    )
    moved = dataclasses.replace(film, scene=scene, position=film.position + by[:8])
    torch.testing.assert_close(step(awake(), moved) - by[8], step(awake(), film), atol=5e-5, rtol=0)


def test_a_sheet_has_no_front() -> None:
    """Faces told the other way round change nothing."""
    film = sheets.film(2, 6, extra_script=4)
    turned = dataclasses.replace(film, scene=dataclasses.replace(film.scene, faces=film.scene.faces.flip(-1)))
    torch.testing.assert_close(step(awake(), turned), step(awake(), film))


def test_wind_is_felt_and_withheld_wind_is_still_air() -> None:
    film = sheets.film(2, 6, extra_script=4)
    calm = {**film.scene.parameters, **{k: torch.zeros(2) for k in WIND}}
    withheld = {**film.scene.parameters, **{k: torch.full((2,), torch.nan) for k in WIND}}

    def under(parameters: dict[str, Tensor]) -> Tensor:
        return step(awake(), dataclasses.replace(film, scene=dataclasses.replace(film.scene, parameters=parameters)))

    assert not torch.equal(under(calm), step(awake(), film))
    torch.testing.assert_close(under(withheld), under(calm))
    assert wind_velocity(film.scene).shape == (2, 3)


def test_cloth_keeps_its_length_whatever_the_network_says() -> None:
    film = sheets.film(2, 6, side=7, extra_script=60)
    got = awake().rollout(film, 50)
    assert float(strain(film, got.position).max()) < 0.15
    loose = awake(rounds=0, rounds_after=0).rollout(film, 50)
    assert float(strain(film, loose.position).max()) > 0.5
    depth = [
        penetration(film.scene, x, film.scene.script.box_offset[0], film.scene.script.obstacle_position[0])
        for x in got.position
    ]
    assert not torch.stack(depth)[:, film.scene.free].any()


def test_misuse_is_named() -> None:
    with pytest.raises(MisuseError, match="no size 'huge'"):
        surrogates.create("mesh_gnn", "cloth", size="huge")
    with pytest.raises(MisuseError, match="1 displacements; its velocities need at least 2"):
        surrogates.create("mesh_gnn", "cloth", history=1)
    film = sheets.film(1, 6, extra_script=4)
    fluid = dataclasses.replace(film, scene=dataclasses.replace(film.scene, domain="fluid"))
    with pytest.raises(MisuseError, match="the film is of fluid"):
        awake().rollout(fluid, 1)


# Learning


@pytest.fixture(scope="module")
def data() -> Data:
    return Data(stack([sheets.film(8, 25)]), sheets.film(3, 30, seed=5), "0" * 64)


def test_it_learns_to_swing(data: Data, tmp_path: Path) -> None:
    short = dataclasses.replace(track("smoke"), training_steps=200)
    learned: Any = _store.learn(Run("mesh_gnn", {"cloth": data}, short, 0, tmp_path / "gnn"))
    linear: Any = _store.learn(Run("linear", {"cloth": data}, short, 0, tmp_path / "linear"))
    judge = Judge(data.valid, 5, Plan(0, 0, 0.0, valid_frames=20))
    assert judge.ratio(learned) < 0.5 * judge.ratio(linear)
    assert judge.ratio(learned) < 0.4


def test_the_normalisers_are_those_of_what_is_left_to_learn(data: Data) -> None:
    """Less than the accelerations themselves: gravity and tension are known."""
    from hedgefox.surrogates._features import free_moments

    model = awake(parameters=("stretch_stiffness",))
    model.measure(data.train)
    whole = free_moments(data.train, 2)[1].square().mean().sqrt()
    assert 0 < float(model.acceleration_std) < float(whole)
    assert torch.isfinite(model.strain_std).all()
    assert bool(model.parameter_is_log[0])
