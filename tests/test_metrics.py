"""Metrics: golden values by hand and in float64 numpy; masks, periodicity, divergence; and reductions that drop nothing."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hedgefox.bench import reduce
from hedgefox.bench._metric import Metric, every_metric, metric, metrics_for
from hedgefox.contracts import Domain, MisuseError, NodeType, Trajectory, Wall, single_scene, stack
from hedgefox.contracts.rotation import carried, exponential, local_points, multiply
from torch import Tensor

from . import sheets, solids

BOX = torch.tensor([[0.0, 0.0], [4.0, 3.0]])  # diagonal 5 m


def make(
    position: Sequence[Sequence[Sequence[float]]],
    velocity: Sequence[Sequence[Sequence[float]]] | None = None,
    *,
    types: list[int] | None = None,
    mass: list[float] | None = None,
    wall: Tensor | None = None,
    dt: float = 0.1,
) -> Trajectory:
    """A film of one scene from plain numbers (T, N, 2)."""
    x = torch.tensor(position, dtype=torch.float32)
    n = x.shape[1]
    types = types or [0] * n
    driven = torch.tensor(types) == NodeType.DRIVEN
    scene = single_scene(
        domain="fluid", frame_interval=dt, rest_position=torch.arange(2.0 * n).reshape(n, 2) / 100, bounds=BOX,
        mass=torch.tensor(mass) if mass else 1.0, wall=wall, node_type=torch.tensor(types), n_frames=len(x),
        node_position=x[:, driven],
    )  # fmt: skip
    v = torch.zeros_like(x) if velocity is None else torch.tensor(velocity, dtype=torch.float32)
    return Trajectory(scene, x, v)


def curve(name: str, truth: Trajectory, predicted: Trajectory, domain: Domain) -> np.ndarray:
    return metric(name).evaluate(truth, predicted, domain)[metric(name).id]


def moved(film: Trajectory, by: float = 0.01, seed: int = 0) -> Trajectory:
    noise = torch.Generator().manual_seed(seed)
    shift = by * torch.randn(film.position.shape, generator=noise)
    pose = film.pose
    if pose is not None:
        pose = pose + by * torch.randn(pose.shape, generator=noise)
        pose[..., 3:] /= pose[..., 3:].norm(dim=-1, keepdim=True)
    return dataclasses.replace(film, position=film.position + shift, velocity=film.velocity + shift, pose=pose)


FILMS = {"cloth": sheets.film(3, 8), "rigid": solids.film(3, 8)}


def judged(m: Metric, film: Trajectory) -> Trajectory:
    """A film of three scenes that the metric is made for: `film` where it is for all."""
    return FILMS.get(m.domains[0], film)


@pytest.mark.parametrize("m", every_metric(), ids=lambda m: m.id)
def test_a_replay_of_the_truth_is_perfect_and_says_its_unit(m: Metric, ballistic: Domain, film: Trajectory) -> None:
    film = judged(m, film)
    got = m.evaluate(film, film, ballistic)[m.id]
    assert got.shape == (film.n_frames, film.scene.n_scenes)
    assert got.dtype == np.float64
    said = got[~np.isnan(got)]
    assert said.size or m.name == "event_f1"
    assert (said == (1.0 if m.better == "higher" else 0.0)).all()
    assert m.unit


@pytest.mark.parametrize("m", [m for m in every_metric() if m.better == "lower"], ids=lambda m: m.id)
def test_divergence_costs_the_cap_and_never_less_than_a_finite_error(
    m: Metric, ballistic: Domain, film: Trajectory
) -> None:
    film = judged(m, film)
    finite = m.evaluate(film, moved(film), ballistic)[m.id]
    x = film.position.clone()
    x[5:, film.scene.node_scene == 1] = torch.nan
    lost = m.evaluate(film, dataclasses.replace(film, position=x), ballistic)[m.id]
    shown = ~np.isnan(lost)
    assert (shown == ~np.isnan(finite)).all()
    assert (lost[:5][shown[:5]] == 0).all(), "frames before divergence are judged as they are"
    assert (lost[5:, [0, 2]][shown[5:, [0, 2]]] == 0).all(), "other scenes of the batch must not notice"
    assert (lost[5:, 1][shown[5:, 1]] > 0).all()
    assert (lost[5:, 1][shown[5:, 1]] >= finite[5:, 1][shown[5:, 1]]).all()


@pytest.mark.parametrize("m", every_metric(), ids=lambda m: m.id)
def test_scenes_are_judged_alone(m: Metric, ballistic: Domain, film: Trajectory) -> None:
    film = judged(m, film)
    answer = moved(film)
    whole = m.evaluate(film, answer, ballistic)[m.id]
    for b in range(film.scene.n_scenes):
        alone = m.evaluate(film.select([b]), answer.select([b]), ballistic)[m.id]
        np.testing.assert_allclose(alone[:, 0], whole[:, b], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("m", [m for m in every_metric() if m.name != "invariant_drift"], ids=lambda m: m.id)
def test_driven_nodes_are_never_averaged_in(m: Metric, film: Trajectory) -> None:
    from .ballistic import BALLISTIC

    class OfFree(type(BALLISTIC)):  # type: ignore[misc]
        def observable(self, film: Trajectory) -> Tensor:
            return torch.where(film.scene.free.unsqueeze(-1), film.position, 0.0).sum(1).unsqueeze(1).expand(-1, 3, -1)

    film = judged(m, film)
    answer = dataclasses.replace(film, position=film.position.clone(), velocity=film.velocity.clone())
    answer.position[:, film.scene.driven_nodes] += 0.3
    answer.velocity[:, film.scene.driven_nodes] += 0.3
    got = m.evaluate(film, answer, OfFree())[m.id]
    assert (got[~np.isnan(got)] == (1.0 if m.better == "higher" else 0.0)).all()


def test_position_rmse_by_hand(ballistic: Domain) -> None:
    truth = make([[[0, 0], [1, 1], [2, 2]], [[0, 0], [1, 1], [2, 2]]], types=[0, 0, 1])
    answer = make([[[0.3, 0.4], [1, 1], [2, 2]], [[0, 0], [1, 4], [2, 2]]], types=[0, 0, 1])
    got = curve("position_rmse", truth, answer, ballistic)
    np.testing.assert_allclose(got[:, 0], [math.sqrt((0.3**2 + 0.4**2) / 2), math.sqrt(9 / 2)], rtol=1e-6)


def test_position_rmse_is_exact_to_float64_far_from_the_origin(ballistic: Domain) -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.uniform(0, 3, (4, 500, 2)).astype(np.float32) for _ in range(2))
    got = curve("position_rmse", make(a.tolist()), make(b.tolist()), ballistic)
    expected = np.sqrt(((a.astype(np.float64) - b.astype(np.float64)) ** 2).sum(-1).mean(-1))
    np.testing.assert_allclose(got[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["position_rmse", "centre_of_mass_error", "chamfer"])
def test_distances_go_the_short_way_round_a_periodic_box(name: str, ballistic: Domain) -> None:
    wall = torch.tensor([[int(Wall.PERIODIC)] * 2, [int(Wall.NO_SLIP)] * 2])
    truth, answer = make([[[0.1, 1.0]]], wall=wall), make([[[3.9, 1.0]]], wall=wall)
    assert curve(name, truth, answer, ballistic)[0, 0] == pytest.approx(0.2, rel=1e-5)
    outside = make([[[-0.1, 1.0]]], wall=wall)
    assert curve(name, truth, outside, ballistic)[0, 0] == pytest.approx(0.2, rel=1e-5)
    closed = curve(name, make([[[0.1, 1.0]]]), make([[[3.9, 1.0]]]), ballistic)
    assert closed[0, 0] == pytest.approx(3.8, rel=1e-5)


def test_no_error_exceeds_the_diagonal(ballistic: Domain) -> None:
    got = curve("position_rmse", make([[[0, 0]]]), make([[[30, 0]]]), ballistic)
    assert got[0, 0] == pytest.approx(5.0)


def test_velocity_rmse_by_hand(ballistic: Domain) -> None:
    still = [[[0, 0], [1, 1]]]
    got = curve("velocity_rmse", make(still, [[[0, 0], [1, 0]]]), make(still, [[[3, 0], [1, 4]]]), ballistic)
    assert got[0, 0] == pytest.approx(math.sqrt(25 / 2))


def test_kinetic_energy_error_by_hand(ballistic: Domain) -> None:
    """True energies 1 J and 9 J; predicted 4 J and 0 J; the scale is the film's largest, 9 J."""
    still = [[[0, 0]], [[0, 0]]]
    truth = make(still, [[[1, 0]], [[3, 0]]], mass=[2.0])
    answer = make(still, [[[0, 2]], [[0, 0]]], mass=[2.0])
    np.testing.assert_allclose(curve("kinetic_energy_error", truth, answer, ballistic)[:, 0], [3 / 9, 1.0], rtol=1e-6)


def test_kinetic_energy_error_is_finite_for_a_scene_at_rest(ballistic: Domain) -> None:
    """Floor: the speed that spends the trust threshold (0.02 m) in ten frames of 0.1 s."""
    slow = 0.02 / (10 * 0.1)
    truth, answer = make([[[0, 0]]]), make([[[0, 0]]], [[[slow, 0]]])
    assert curve("kinetic_energy_error", truth, answer, ballistic)[0, 0] == pytest.approx(1.0, rel=1e-5)


def test_observable_error_by_hand(ballistic: Domain) -> None:
    """The ballistic observable is the centre of mass: off by (0.3, 0.4), over two values."""
    truth, answer = make([[[1, 1], [2, 2]]]), make([[[1.3, 1.4], [2.3, 2.4]]])
    assert curve("observable_error", truth, answer, ballistic)[0, 0] == pytest.approx(0.5 / math.sqrt(2), rel=1e-5)


def test_what_answers_with_its_own_nodes_is_judged_on_the_observable_alone(ballistic: Domain) -> None:
    truth, coarse = make([[[1, 1], [2, 2]]]), make([[[1.5, 1.9]]])
    assert curve("observable_error", truth, coarse, ballistic)[0, 0] == pytest.approx(0.4 / math.sqrt(2), rel=1e-5)
    assert curve("centre_of_mass_error", truth, coarse, ballistic)[0, 0] == pytest.approx(0.4, rel=1e-5)
    for name in ("position_rmse", "velocity_rmse"):
        assert np.isnan(curve(name, truth, coarse, ballistic)).all()


def test_centre_of_mass_error_weighs_by_mass(ballistic: Domain) -> None:
    truth = make([[[0, 0], [1, 1]]], mass=[1.0, 3.0])
    answer = make([[[0.8, 0], [1, 1]]], mass=[1.0, 3.0])
    assert curve("centre_of_mass_error", truth, answer, ballistic)[0, 0] == pytest.approx(0.2, rel=1e-5)


def test_penetration_is_the_excess_over_the_truths_own(ballistic: Domain) -> None:
    truth = make([[[-0.1, 1], [1, 1]], [[0.5, 1], [1, 1]]])
    answer = make([[[0.1, 1], [1, -0.4]], [[0.5, 1], [1, 1]]])
    np.testing.assert_allclose(curve("penetration", truth, answer, ballistic)[:, 0], [0.3, 0.0], atol=1e-6)


def test_invariant_drift_by_hand() -> None:
    from .ballistic import BALLISTIC

    class Sums(type(BALLISTIC)):  # type: ignore[misc]
        def invariants(self, film: Trajectory) -> dict[str, Tensor]:
            return {"x [m]": film.position[..., 0].sum(1, keepdim=True), "nothing": torch.zeros(film.n_frames, 1)}

    got = curve("invariant_drift", make([[[1, 0]], [[2, 0]]]), make([[[1, 0]], [[3, 0]]]), Sums())
    np.testing.assert_allclose(got[:, 0], [0.0, 0.5 * 1 / (2 + 3)], rtol=1e-6)


def test_chamfer_by_hand_ignores_who_is_who(ballistic: Domain) -> None:
    """Swapped particles cost nothing; then nearest distances 0.5, 0 one way and 0.5, 0 the other: mean 0.25."""
    truth = make([[[0, 0], [2, 0]], [[0, 0], [2, 0]]])
    answer = make([[[2, 0], [0, 0]], [[2, 0], [0.3, 0.4]]])
    np.testing.assert_allclose(curve("chamfer", truth, answer, ballistic)[:, 0], [0.0, 0.25], atol=1e-6)


# -- cloth and rigid bodies --------------------------------------------------------------------------------------------


def sheet(position: Sequence[Sequence[float]], types: list[int] | None = None) -> Trajectory:
    """One frame of a triangle of edges 3, 4 and 5 m, float64."""
    rest = torch.tensor([[0.0, 0, 0], [3, 0, 0], [0, 4, 0]], dtype=torch.float64)
    x = torch.tensor([position], dtype=torch.float64)
    driven = torch.tensor(types or [0, 0, 0]) == NodeType.DRIVEN
    scene = single_scene(
        domain="cloth", frame_interval=0.1, rest_position=rest, mass=1.0, n_frames=1,
        bounds=torch.tensor([[-9.0] * 3, [9.0] * 3]), edges=torch.tensor([[0, 1], [1, 2], [2, 0]]),
        faces=torch.tensor([[0, 1, 2]]), node_type=driven.long(), node_position=x[:, driven],
    )  # fmt: skip
    return Trajectory(scene, x, torch.zeros_like(x))


FLAT = [[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 4.0, 0.0]]


def test_edge_strain_error_by_hand(ballistic: Domain) -> None:
    """The corner lifted by 4 m: edges 5, sqrt(41) and 4 instead of 3, 5 and 4 m."""
    lifted = [[0.0, 0.0, 0.0], [3.0, 0.0, 4.0], [0.0, 4.0, 0.0]]
    got = curve("edge_strain_error", sheet(FLAT), sheet(lifted), ballistic)
    strains = np.array([5 / 3 - 1, math.sqrt(9 + 16 + 16) / 5 - 1, 0.0])
    np.testing.assert_allclose(got, [[math.sqrt((strains**2).mean())]], rtol=1e-15)
    moved_whole = (torch.tensor(FLAT) + torch.tensor([1.0, 2, 3])).tolist()
    assert curve("edge_strain_error", sheet(FLAT), sheet(moved_whole), ballistic)[0, 0] == pytest.approx(0, abs=1e-15)


def test_edge_strain_error_counts_no_edge_between_driven_ends_and_has_a_cap(ballistic: Domain) -> None:
    held = [1, 1, 0]
    answer = [[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 5.0, 0.0]]
    got = curve("edge_strain_error", sheet(FLAT, held), sheet(answer, held), ballistic)
    strains = np.array([math.sqrt(34) / 5 - 1, 0.25])
    np.testing.assert_allclose(got, [[math.sqrt((strains**2).mean())]], rtol=1e-15)
    torn = [[0.0, 0.0, 0.0], [300.0, 0.0, 0.0], [0.0, 4.0, 0.0]]
    assert curve("edge_strain_error", sheet(FLAT), sheet(torn), ballistic)[0, 0] == 1.0


def test_cloth_under_the_floor_or_in_a_ball_penetrates(ballistic: Domain) -> None:
    """A vertex at the ball's centre is its radius deep."""
    film = FILMS["cloth"].select([0])
    sunk, inside = film.position.clone(), film.position.clone()
    sunk[:, 7, 2] = -0.03
    inside[:, 7] = torch.tensor([0.0, 0.0, 0.3])
    for x, depth in ((sunk, 0.03), (inside, 0.15)):
        got = curve("penetration", film, dataclasses.replace(film, position=x), ballistic)
        np.testing.assert_allclose(got, depth, atol=1e-6)


def double(film: Trajectory) -> Trajectory:
    return film._map(
        lambda _, x: x.double(), film.scene.map_tensors(lambda x: x.double() if x.is_floating_point() else x)
    )


def displaced(film: Trajectory, shift: list[list[float]], turn: list[list[float]]) -> Trajectory:
    """Bodies shifted (P, 3) and turned about their centres (P, 3), nodes with them."""
    film = double(film)
    assert film.pose is not None
    assert film.twist is not None
    local = local_points(film.position, film.pose, film.scene.body_id)
    by, about = torch.tensor(shift, dtype=torch.float64), torch.tensor(turn, dtype=torch.float64)
    turned = multiply(exponential(about).expand_as(film.pose[..., 3:]), film.pose[..., 3:])
    pose = torch.cat([film.pose[..., :3] + by, turned], -1)
    position, velocity = carried(local, pose, film.twist, film.scene.body_id)
    return dataclasses.replace(film, position=position, velocity=velocity, pose=pose)


@pytest.mark.parametrize("with_pose", [True, False])
def test_translation_and_rotation_error_by_hand(ballistic: Domain, with_pose: bool) -> None:
    """Two bodies: 5 m and 1 m off, turned by 0.3 and 0.5 rad; poses may be given or found from the nodes."""
    truth = double(FILMS["rigid"].select([0]))
    answer = displaced(truth, [[3, 0, 4], [0, -1, 0]], [[0.3, 0, 0], [0, 0.3, 0.4]])
    if not with_pose:
        answer = dataclasses.replace(answer, pose=None, twist=None)
    exact = 1e-12 if with_pose else 1e-5  # the nodes are rigid to float32 alone
    np.testing.assert_allclose(curve("translation_error", truth, answer, ballistic), 3.0, rtol=exact)
    np.testing.assert_allclose(curve("rotation_error", truth, answer, ballistic), 0.4, rtol=exact)


def test_a_full_turn_is_none_and_a_half_turn_the_largest(ballistic: Domain) -> None:
    truth = FILMS["rigid"].select([0])
    whole = displaced(truth, [[0.0] * 3] * 2, [[2 * math.pi, 0, 0], [0, 0, 0]])
    half = displaced(truth, [[0.0] * 3] * 2, [[math.pi, 0, 0], [0, 0, -math.pi]])
    np.testing.assert_allclose(curve("rotation_error", double(truth), whole, ballistic), 0.0, atol=1e-6)
    np.testing.assert_allclose(curve("rotation_error", double(truth), half, ballistic), math.pi, rtol=1e-6)


def test_body_penetration_by_hand(ballistic: Domain) -> None:
    """The box put 0.05 m over the ball: the ball's uppermost node is the deepest, 0.05 m under the box's upper face."""
    truth = double(FILMS["rigid"].select([0]))
    assert truth.pose is not None
    assert curve("body_penetration", truth, truth, ballistic).max() == 0
    pose = truth.pose.clone()
    pose[:, 0] = torch.tensor([0.0, 0, 5, 0, 0, 0, 1])
    pose[:, 1] = torch.tensor([0.0, 0, 5.05, 0, 0, 0, 1])
    assert truth.twist is not None
    local = local_points(truth.position, truth.pose, truth.scene.body_id)
    position, _ = carried(local, pose, truth.twist, truth.scene.body_id)
    answer = dataclasses.replace(truth, pose=pose, position=position)
    np.testing.assert_allclose(curve("body_penetration", truth, answer, ballistic), 0.05, rtol=1e-5)


class Flags:
    """Labels straight from the first coordinate: it holds where x > 1."""

    def events(self, film: Trajectory) -> dict[str, Tensor]:
        return {"x": film.position[:, :1, 0] > 1}


def flags(*onsets: int, n: int = 12) -> Trajectory:
    """A film whose label holds for one frame at each onset."""
    return make([[[2.0 if t in onsets else 0.0, 0.0]] for t in range(n)])


@pytest.mark.parametrize(
    ("true", "claimed", "tp", "fp", "fn"),
    [
        ((5,), (7,), 1, 0, 0),  # within two frames
        ((5,), (8,), 0, 1, 1),  # three frames late
        ((5,), (3, 7), 1, 1, 0),  # each true event is found once
        ((3, 6), (5,), 1, 0, 1),
        ((3, 6), (5, 8), 2, 0, 0),  # earliest first pairs both
        ((), (4,), 0, 1, 0),
        ((0,), (), 0, 0, 0),  # already holds in the first new frame: nothing to predict
    ],
)
def test_event_counts_by_hand(true: tuple[int, ...], claimed: tuple[int, ...], tp: int, fp: int, fn: int) -> None:
    got = metric("event_f1").evaluate(flags(*true), flags(*claimed), Flags())  # type: ignore[arg-type]
    assert [int(got[f"event_f1@1/{k}"].sum()) for k in ("tp", "fp", "fn")] == [tp, fp, fn]


def test_events_are_matched_as_well_as_a_search_over_all_pairings_can() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        true, claimed = (sorted(2 * rng.choice(np.arange(1, 9), rng.integers(0, 5), replace=False)) for _ in range(2))
        claimed = [t + 1 for t in claimed]
        got = metric("event_f1").evaluate(flags(*true, n=20), flags(*claimed, n=20), Flags())  # type: ignore[arg-type]
        few, many = sorted((list(true), list(claimed)), key=len)
        best = max(
            sum(abs(a - b) <= 2 for a, b in zip(few, p, strict=True)) for p in itertools.permutations(many, len(few))
        )
        assert int(got["event_f1@1/tp"].sum()) == best


def test_f1_is_of_summed_counts_and_not_a_mean_of_scenes() -> None:
    found = reduce.micro_f1({"tp": np.array([9.0, 0.0]), "fp": np.array([0.0, 1.0]), "fn": np.array([1.0, 1.0])})
    assert found is not None
    assert found.value == pytest.approx(18 / 21)
    assert reduce.micro_f1({n: np.zeros(3) for n in ("tp", "fp", "fn")}) is None


def test_after_divergence_no_event_is_claimed() -> None:
    answer = flags(5)
    answer.position[4:] = torch.nan
    got = metric("event_f1").evaluate(flags(5), answer, Flags())  # type: ignore[arg-type]
    assert [int(got[f"event_f1@1/{k}"].sum()) for k in ("tp", "fp", "fn")] == [0, 0, 1]


def test_metrics_are_found_by_file_and_version(ballistic: Domain) -> None:
    assert metric("position_rmse@1").id == "position_rmse@1"
    with pytest.raises(MisuseError, match="position_rmse@1"):
        metric("position_rmse@7")
    with pytest.raises(MisuseError, match="chamfer"):
        metric("nonsense")
    assert "chamfer" not in [m.name for m in metrics_for("cloth")]


def test_a_metric_says_what_it_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {m.name for m in every_metric() if m.judges == "reconstruction"} == {"decode_floor"}
    assert metric("decode_floor").curve is metric("position_rmse").curve
    monkeypatch.setattr("hedgefox.bench.metrics.decode_floor.JUDGES", "hearsay")
    with pytest.raises(MisuseError, match=r"'hearsay'; rollout or reconstruction"):
        metric("decode_floor")


# -- reductions --------------------------------------------------------------------------------------------------------


def test_reductions_pick_the_named_frames() -> None:
    curve = np.arange(1.0, 31.0)[:, None] * np.array([1.0, 10.0])
    got = reduce.reductions(curve)
    assert {k: None if v is None else v.tolist() for k, v in got.items() if k != "mean"} == {
        "1": [1, 10], "5": [5, 50], "20": [20, 200], "50": None, "last": [30, 300],
    }  # fmt: skip
    assert got["mean"] is not None
    assert got["mean"].tolist() == [15.5, 155]


def test_trust_ends_at_the_first_frame_past_the_threshold() -> None:
    curve = np.array([[0.1, 0.1, 0.3], [0.1, 0.3, 0.1], [0.2, 0.1, 0.1]])
    assert reduce.trust_horizon(curve, 0.2).tolist() == [3, 1, 0]


def test_estimates_keep_the_worst_scene_and_cover_the_truth() -> None:
    values = np.array([1.0] * 9 + [100.0])
    found = reduce.estimate(values)
    assert found is not None
    assert found.value == pytest.approx(10.9)
    assert reduce.estimate(values) == found, "the generator is its own: twice the same"
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        e = reduce.estimate(rng.normal(2.0, 1.0, 32))
        assert e is not None
        assert e.low is not None
        assert e.high is not None
        hits += e.low <= 2.0 <= e.high
    assert 0.88 <= hits / 200 <= 0.99


def test_one_scene_gives_no_interval_and_none_gives_no_estimate() -> None:
    assert reduce.estimate(np.array([3.0])) == reduce.Estimate(3.0, None, None, 3.0, 3.0)
    assert reduce.estimate(np.array([np.nan])) is None


def test_a_ratio_of_medians_holds_the_true_ratio() -> None:
    rng = np.random.default_rng(2)
    found = reduce.ratio_of_medians(rng.normal(4, 0.1, 30), rng.normal(2, 0.05, 30))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 2.0 < found.high
    assert found.high - found.low < 0.2


def test_stacked_films_score_as_their_parts(ballistic: Domain) -> None:
    a, b = make([[[0, 0]]]), make([[[1, 1], [2, 2]]])
    c, d = make([[[1, 0]]]), make([[[1, 1], [2, 3]]])
    got = curve("position_rmse", stack([a, b]), stack([c, d]), ballistic)
    np.testing.assert_allclose(got, [[1.0, math.sqrt(0.5)]], rtol=1e-6)


def test_a_frame_is_shown_when_the_horizon_just_reaches_it() -> None:
    assert reduce.shown_frames(20) == {"1": 1, "5": 5, "20": 20, "last": 20}
    assert reduce.shown_frames(1) == {"1": 1, "last": 1}
