"""Rigid solids: poses fitted to nodes, distances, and films in a mirror."""

from __future__ import annotations

import pytest
import torch
from hedgefox.contracts import BodyShape, Trajectory
from hedgefox.contracts._ragged import all_pairs
from hedgefox.contracts.bodies import depth_in_others, distance_to_shape, rotation_matrix, shape_poses
from hedgefox.contracts.rotation import angle_between, carried, fitted_pose, from_matrix, local_points
from hedgefox.surrogates import _symmetry
from torch import Tensor

from . import sheets, solids


def random_turns(n: int, seed: int = 0) -> Tensor:
    q: Tensor = torch.randn((n, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    unit: Tensor = q / q.norm(dim=-1, keepdim=True)
    return unit


def test_quaternions_of_matrices_and_back() -> None:
    q = torch.cat([random_turns(500), torch.eye(4, dtype=torch.float64), -torch.eye(4, dtype=torch.float64)])
    found = from_matrix(rotation_matrix(q))
    assert float(angle_between(found, q).max()) < 1e-12
    assert (found[:, 3] >= 0).all()


def test_a_pose_is_found_again_from_its_nodes() -> None:
    rng = torch.Generator().manual_seed(1)
    body_id, mass = torch.arange(3).repeat_interleave(6), torch.rand(18, generator=rng) + 0.1
    local = torch.randn((18, 3), generator=rng)
    pose = torch.cat([torch.randn((5, 3, 3), generator=rng), random_turns(15).reshape(5, 3, 4).float()], -1)
    position, _ = carried(local.expand(5, -1, -1), pose, torch.zeros(5, 3, 6), body_id)
    found = fitted_pose(local, position, mass, body_id)
    torch.testing.assert_close(found[..., :3], pose[..., :3], atol=1e-5, rtol=0)
    assert float(angle_between(found[..., 3:], pose[..., 3:]).max()) < 1e-5


def test_a_fitted_pose_is_the_best_of_its_neighbours_and_never_a_mirror() -> None:
    rng = torch.Generator().manual_seed(2)
    local = torch.randn((8, 3), generator=rng, dtype=torch.float64)
    body_id, mass = torch.zeros(8, dtype=torch.int64), torch.rand(8, generator=rng, dtype=torch.float64) + 0.1
    position = local * torch.tensor([1.0, 1.0, -1.0]) + 0.1 * torch.randn((8, 3), generator=rng, dtype=torch.float64)

    def misfit(pose: Tensor) -> Tensor:
        held = carried(local, pose, torch.zeros((len(pose), 6), dtype=torch.float64), body_id)[0]
        return (mass * (held - position).square().sum(-1)).sum()

    best = fitted_pose(local, position, mass, body_id)
    assert torch.linalg.det(rotation_matrix(best[0, 3:])) == pytest.approx(1.0)
    for turn in random_turns(200, seed=3):
        assert misfit(torch.cat([best[:, :3], turn.unsqueeze(0)], -1)) >= misfit(best) - 1e-12


def test_a_body_with_a_lost_node_has_no_pose_and_its_neighbour_has() -> None:
    local = torch.randn((8, 3), generator=torch.Generator().manual_seed(4))
    body_id = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    position = local.clone()
    position[0] = torch.nan
    found = fitted_pose(local, position, torch.ones(8), body_id)
    assert torch.isnan(found[0]).all()
    assert torch.isfinite(found[1]).all()


@pytest.mark.parametrize("kind", list(BodyShape))
def test_distance_to_a_shape_is_that_to_its_nearest_point(kind: BodyShape) -> None:
    """Against a dense sample of the surface; normals are the way in which the distance grows."""
    rng = torch.Generator().manual_seed(5)
    size = torch.tensor([0.3, 0.4, 0.2], dtype=torch.float64)
    pose = torch.cat([torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64), random_turns(1)[0]])
    point = pose[:3] + 1.2 * torch.randn((200, 3), generator=rng, dtype=torch.float64)
    distance, normal = distance_to_shape(point, pose.expand(200, 7), torch.full((200,), kind), size.expand(200, 3))
    way = torch.randn((40000, 3), generator=rng, dtype=torch.float64)
    way = way / way.norm(dim=-1, keepdim=True)
    if kind == BodyShape.BOX:
        surface = way / (way.abs() / size).amax(-1, keepdim=True)
    else:
        straight = size[1] * (2 * torch.rand(40000, 1, generator=rng, dtype=torch.float64) - 1)
        ends = torch.where(way[:, 2:].abs() < 1e-9, straight, torch.sign(way[:, 2:]) * size[1])
        side = way * torch.tensor([1.0, 1, 0]) / way[:, :2].norm(dim=-1, keepdim=True)
        capsule = torch.cat(
            [way * size[0] + ends * torch.tensor([0.0, 0, 1]), side * size[0] + straight * torch.tensor([0.0, 0, 1])]
        )
        surface = capsule if kind == BodyShape.CAPSULE else way * size[0]
    turned = surface @ rotation_matrix(pose[3:]).T + pose[:3]
    outside = distance > 0
    nearest = torch.cdist(point[outside], turned).amin(-1)
    torch.testing.assert_close(distance[outside], nearest, atol=0.02, rtol=0)
    step = 1e-5
    later, _ = distance_to_shape(
        point + step * normal, pose.expand(200, 7), torch.full((200,), kind), size.expand(200, 3)
    )
    torch.testing.assert_close((later - distance)[outside] / step, torch.ones(int(outside.sum()), dtype=torch.float64))


def test_depth_in_others_does_not_see_its_own_body_nor_other_scenes() -> None:
    film = solids.film(2, 1)
    assert film.pose is not None
    pose = film.pose[0].clone()
    # The first bodies of both scenes on one spot: they must not notice each other.
    pose[2, :3] = pose[0, :3]
    local = local_points(film.position[0], film.pose[0], film.scene.body_id)
    position, _ = carried(local, pose, torch.zeros_like(pose[:, :6]), film.scene.body_id)
    assert not depth_in_others(film.scene, position, pose).any()
    pose[1, :3] = pose[0, :3]
    position, _ = carried(local, pose, torch.zeros_like(pose[:, :6]), film.scene.body_id)
    assert depth_in_others(film.scene, position, pose)[film.scene.body_id == 0].max() > 0.01


def test_all_pairs_are_those_of_each_scene() -> None:
    a, b = all_pairs(torch.tensor([0, 2, 2, 3]), torch.tensor([0, 1, 4, 6]))
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == [(0, 0), (1, 0), (2, 4), (2, 5)]


# Films in a mirror


@pytest.mark.parametrize("film", [solids.film(2, 6), sheets.film(2, 6)], ids=["solids", "sheets"])
def test_reflections_undo_themselves_and_make_eight_films(film: Trajectory) -> None:
    pairs = [("wind_x", "wind_y")] if "wind_x" in film.scene.parameters else []
    for there_and_back in (
        _symmetry.mirrored(_symmetry.mirrored(film, ["wind_x"]), ["wind_x"]),
        _symmetry.exchanged(_symmetry.exchanged(film, pairs), pairs),
    ):
        torch.testing.assert_close(there_and_back.position, film.position, atol=1e-5, rtol=0)
        assert torch.equal(there_and_back.scene.bounds, film.scene.bounds)
        assert all(torch.equal(there_and_back.scene.parameters[k], v) for k, v in film.scene.parameters.items())
    many = _symmetry.turned(film, ["wind_x"], pairs)
    assert many.scene.n_scenes == 8 * film.scene.n_scenes
    parts = [many.select(list(range(2 * k, 2 * k + 2))).position for k in range(8)]
    assert all((a - b).abs().max() > 0.1 for k, a in enumerate(parts) for b in parts[:k])


@pytest.mark.parametrize("way", [_symmetry.mirrored, _symmetry.exchanged])
def test_bodies_in_a_mirror_keep_their_nodes_and_move_as_they_look(way: object) -> None:
    film = solids.film(2, 6)
    assert callable(way)
    image: Trajectory = way(film)
    assert image.pose is not None
    assert image.twist is not None
    scene = image.scene
    # Nodes lie on the surfaces of the mirrored solids, and follow poses and twists.
    for node in range(scene.n_nodes):
        shapes = torch.nonzero(scene.shape_body == scene.body_id[node]).flatten()
        where = shape_poses(scene, image.pose[3])[shapes]
        point = image.position[3, node].expand(len(shapes), 3)
        gap, _ = distance_to_shape(point, where, scene.shape_kind[shapes], scene.shape_size[shapes])
        was, _ = distance_to_shape(
            film.position[3, node].expand(len(shapes), 3),
            shape_poses(film.scene, film.pose[3])[shapes] if film.pose is not None else where,
            film.scene.shape_kind[shapes],
            film.scene.shape_size[shapes],
        )
        torch.testing.assert_close(gap, was, atol=1e-5, rtol=0)
    local = local_points(image.position[0], image.pose[0], scene.body_id)
    position, velocity = carried(local.expand(6, -1, -1), image.pose, image.twist, scene.body_id)
    torch.testing.assert_close(position, image.position, atol=1e-5, rtol=0)
    torch.testing.assert_close(velocity, image.velocity, atol=1e-4, rtol=0)
