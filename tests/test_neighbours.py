import pytest
import torch
from hedgefox.contracts import MisuseError
from hedgefox.surrogates._neighbours import nearest_distance, radius_graph, spatial_order
from torch import Tensor

BACKENDS = ("tree", "cells")


def brute_force(position: Tensor, radius: float, scene_ptr: Tensor, period: Tensor | None = None) -> Tensor:
    """O(N²), one pair at a time as the definition says."""
    x = position.to(torch.float64)
    scene = torch.repeat_interleave(torch.arange(scene_ptr.numel() - 1), scene_ptr[1:] - scene_ptr[:-1])
    offset = x.unsqueeze(1) - x.unsqueeze(0)
    if period is not None:
        length = period.to(torch.float64)[scene].unsqueeze(1).expand_as(offset)
        offset = torch.where(length > 0, offset - torch.round(offset / length) * length, offset)
    near = offset.square().sum(-1) <= radius**2
    near &= (scene.unsqueeze(1) == scene.unsqueeze(0)) & ~torch.eye(len(x), dtype=torch.bool)
    receiver, sender = torch.nonzero(near, as_tuple=True)
    return torch.stack([sender, receiver])


def cloud(n: int, dim: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand((n, dim), generator=torch.Generator().manual_seed(seed))


def ptr(*sizes: int) -> Tensor:
    return torch.tensor([0, *sizes]).cumsum(0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("radius", [0.05, 0.2, 0.7, 5.0])
def test_equals_brute_force_with_negative_coordinates(backend: str, dim: int, radius: float) -> None:
    x, cut = cloud(150, dim) - 3.0, ptr(70, 0, 1, 2, 77)
    assert torch.equal(radius_graph(x, radius, cut, backend=backend), brute_force(x, radius, cut))


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_and_two_nodes(backend: str) -> None:
    assert radius_graph(torch.zeros(1, 2), 1.0, ptr(1), backend=backend).shape == (2, 0)
    x = torch.tensor([[-0.5, 0.0], [0.5, 0.0]])
    assert radius_graph(x, 1.0, ptr(2), backend=backend).tolist() == [[1, 0], [0, 1]]
    assert radius_graph(x, 0.99, ptr(2), backend=backend).numel() == 0
    assert radius_graph(torch.zeros(0, 2), 1.0, ptr(), backend=backend).shape == (2, 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_scenes_never_see_each_other(backend: str) -> None:
    x = torch.zeros(6, 2)
    edges = radius_graph(x, 0.1, ptr(3, 3), backend=backend)
    assert edges.shape[1] == 12  # coincident nodes are neighbours, within their scene only
    assert torch.equal(edges[0] // 3, edges[1] // 3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("radius", [0.1, 0.3, 0.45])
def test_periodic_axes_differ_between_scenes(backend: str, dim: int, radius: float) -> None:
    x, cut = cloud(120, dim, low=-2.0, high=3.0), ptr(50, 30, 40)
    period = torch.zeros(3, dim)
    period[0], period[1, 0] = 1.0, 0.9
    expected = brute_force(x, radius, cut, period)
    assert torch.equal(radius_graph(x, radius, cut, period, backend=backend), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_lattice_at_exactly_the_radius(backend: str) -> None:
    """Ties: lattice points at the radius, where back-ends that round apart would disagree."""
    x = torch.stack(torch.meshgrid(torch.arange(12) * 0.1, torch.arange(12) * 0.1, indexing="ij"), -1).reshape(-1, 2)
    for radius in (0.1, 0.2, 0.1 * 5**0.5):
        assert torch.equal(radius_graph(x, radius, ptr(144), backend=backend), brute_force(x, radius, ptr(144)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_nodes_that_are_not_finite_or_far_away(backend: str) -> None:
    x = cloud(40, 2)
    x[3], x[7, 1], x[20], x[21] = torch.nan, torch.inf, 1e30, -1e30
    edges = radius_graph(x, 0.5, ptr(15, 25), backend=backend)
    assert not set(edges.flatten().tolist()) & {3, 7, 20, 21}
    keep = [i for i in range(40) if i not in (3, 7, 20, 21)]
    expected = torch.tensor(keep)[brute_force(x[keep], 0.5, ptr(13, 23))]
    assert torch.equal(edges, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_overflow_raises_and_names_both_numbers(backend: str) -> None:
    x = cloud(50, 2)
    total = radius_graph(x, 0.5, ptr(50), backend=backend).shape[1]
    assert radius_graph(x, 0.5, ptr(50), max_edges=total, backend=backend).shape[1] == total
    with pytest.raises(MisuseError, match=f"found {total} edges; max_edges is {total - 1}"):
        radius_graph(x, 0.5, ptr(50), max_edges=total - 1, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_narrow_period_counts_each_edge_once(backend: str) -> None:
    """Two cells across: every cell is a neighbour of the other from both sides."""
    x, period = cloud(40, 2, low=0.0), torch.ones(1, 2)
    total = brute_force(x, 0.45, ptr(40), period).shape[1]
    assert radius_graph(x, 0.45, ptr(40), period, max_edges=total, backend=backend).shape[1] == total


def test_misuse_names_the_value() -> None:
    with pytest.raises(MisuseError, match=r"radius is 0\.0"):
        radius_graph(torch.zeros(2, 2), 0.0, ptr(2))
    with pytest.raises(MisuseError, match="half"):
        radius_graph(torch.zeros(2, 2), 0.6, ptr(2), torch.ones(1, 2))


def test_no_cap_at_32() -> None:
    x = 0.01 * cloud(100, 2)
    assert radius_graph(x, 1.0, ptr(100)).shape[1] == 100 * 99


def test_nearest_distance() -> None:
    x = torch.tensor([[0.0, 0.0], [0.0, 0.3], [0.0, 0.4], [0.1, 0.0]])
    assert nearest_distance(x, ptr(3, 1)).tolist() == pytest.approx([0.3, 0.1, 0.1, float("inf")])


def test_spatial_order_keeps_scenes_together_and_shortens_the_reach_of_edges() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((2000, 2), generator=generator)
    x[7] = torch.nan
    x[9] = 1e30
    ptr = torch.tensor([0, 800, 2000])
    order = spatial_order(x, 0.05, ptr)
    assert torch.equal(order.sort().values, torch.arange(2000))
    assert int(order[:800].max()) < 800
    before = radius_graph(x, 0.05, ptr)
    after = radius_graph(x[order], 0.05, ptr)
    assert before.shape == after.shape
    reach = [(e[0] - e[1]).abs().double().mean() for e in (before, after)]
    assert float(reach[1]) < 0.2 * float(reach[0])
