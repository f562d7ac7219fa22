"""A round of messages in three kernels against the plain one; on a CPU in Triton's interpreter, which makes kernels of numpy.

Skipped where Triton is not installed: it comes with PyTorch for CUDA alone, and nothing else here needs it.
"""

import copy
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hedgefox import surrogates
from hedgefox.contracts import MisuseError, Trajectory
from hedgefox.surrogates import _fused
from hedgefox.surrogates._message_passing import Arriving, AtReceivers, EncodeProcessDecode
from torch import Tensor

from . import particles, sheets, solids

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is imported, which only these tests do here
needs_triton = pytest.mark.skipif(not _fused.installed(), reason="Triton is not installed")

Graph = tuple[Tensor, Tensor, Tensor, Arriving | None]


def graph(n_nodes: int, n_edges: int, spare: int = 0) -> Graph:
    """Features, edges sorted by receiver and then some that are nobody's; the last third of the nodes receives nothing."""
    drawn = torch.Generator().manual_seed(n_nodes + n_edges)
    receiver = torch.randint(max(1, 2 * n_nodes // 3), (n_edges,), generator=drawn).sort().values
    index = torch.stack([torch.randint(n_nodes, (n_edges,), generator=drawn), receiver])
    ptr = torch.searchsorted(receiver, torch.arange(n_nodes + 1))
    node, along = torch.randn((n_nodes, 9), generator=drawn), torch.randn((n_edges + spare, 5), generator=drawn)
    along[n_edges:] = float("nan")
    index = torch.cat([index, index.new_zeros((2, spare))], dim=1)
    return node.to(DEVICE), along.to(DEVICE), index.to(DEVICE), AtReceivers(ptr.to(DEVICE))


def network(width: int, precision: str = "float32", rounds: int = 2) -> EncodeProcessDecode:
    torch.manual_seed(width)
    return EncodeProcessDecode(9, 5, 2, width, rounds, precision).to(DEVICE).eval()


@torch.no_grad()
def answers(net: EncodeProcessDecode, graph: Graph) -> tuple[Tensor, Tensor]:
    """Plain and fused."""
    both = []
    for net.fused in (False, True):
        both.append(net(*graph))
    return both[0], both[1]


@torch.no_grad()
def exact(net: EncodeProcessDecode, graph: Graph) -> Tensor:
    """In double precision."""
    twin = copy.deepcopy(net).double()
    twin.precision, twin.fused = "float32", False
    out: Tensor = twin(graph[0].double(), graph[1].double(), *graph[2:])
    return out


def share(got: Tensor, right: Tensor) -> float:
    return float((got - right).norm() / right.norm())


@needs_triton
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("width", [16, 24, 32, 64, 128])
def test_answers(width: int, precision: str) -> None:
    """As near to double precision as the plain path is; edges that are nobody's hold NaN and reach no one."""
    net, given = network(width, precision), graph(23, 150, spare=70)
    right = exact(net, given)
    plain, fused = (share(x, right) for x in answers(net, given))
    assert fused <= {"float32": 2e-6, "bfloat16": 1.25 * plain}[precision]
    assert plain <= {"float32": 2e-6, "bfloat16": 0.05}[precision]


@needs_triton
@pytest.mark.parametrize("products", ["ieee", "tf32x3"])
def test_products_of_float32(products: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fused, "SINGLE_PRODUCTS", products)
    net, given = network(32), graph(23, 150)
    assert share(answers(net, given)[1], exact(net, given)) <= 1e-6


@needs_triton
def test_edges_in_half_precision() -> None:
    """Handed on in bfloat16, edges cost less accuracy than its products do."""
    net, given = network(32, "bfloat16", rounds=3), graph(23, 150)
    right, (_, fused) = exact(net, given), answers(net, given)
    net.edges_half = True
    halved = answers(net, given)[1]
    assert not torch.equal(halved, fused)
    assert share(halved, fused) <= share(fused, right)


@needs_triton
@pytest.mark.parametrize("way", ["added up", "by a function", "no round"])
def test_sums_that_are_left_as_they_are(way: str) -> None:
    """Edges in any order: those of a mesh, and of contacts with bodies."""
    node, along, index, _ = graph(23, 150)
    mixed = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    there = torch.rand((150, 1), generator=torch.Generator().manual_seed(1)).to(DEVICE)

    def arriving(rows: Tensor) -> Tensor:
        return rows.new_zeros((23, rows.shape[1])).index_add_(0, index[1, mixed], rows * there)

    net = network(32, rounds=0 if way == "no round" else 2)
    given = node, along[mixed], index[:, mixed], arriving if way == "by a function" else None
    assert share(answers(net, given)[1], exact(net, given)) <= 1e-6


@needs_triton
@pytest.mark.parametrize(("n_nodes", "n_edges"), [(1, 0), (1, 1), (5, 0), (2, 64), (65, 129)])
def test_small_and_cut_graphs(n_nodes: int, n_edges: int) -> None:
    net = network(16)
    for given in (graph(n_nodes, n_edges), (*graph(n_nodes, n_edges)[:3], None)):
        assert share(answers(net, given)[1], exact(net, given)) <= 1e-6


@needs_triton
def test_one_answer_every_time() -> None:
    net, given = network(32, "bfloat16"), graph(23, 150)
    kept = [x.clone() for x in given[:3]]
    assert torch.equal(answers(net, given)[1], answers(net, given)[1])
    assert all(torch.equal(old, new) for old, new in zip(kept, given[:3], strict=True))


@needs_triton
def test_what_is_not_finite_shows() -> None:
    """A ReLU by Triton's maximum would make 0 of NaN, and a rollout that has failed would go on."""
    net, given = network(16), graph(23, 150)
    for rows in given[:2]:
        kept = float(rows[3, 1])
        rows[3, 1] = float("nan")
        plain, fused = answers(net, given)
        assert torch.equal(plain.isnan(), fused.isnan())
        assert plain.isnan().any()
        rows[3, 1] = kept


@needs_triton
def test_never_where_gradients_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fused, "forward", lambda *_: pytest.fail("fused"))
    net = network(16)
    net.fused = True
    net(*graph(23, 150)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@needs_triton
def test_kernels_that_fail_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    net, given = network(16), graph(23, 150)
    sizes = 9, 5, 2, 16, "float32", given[0].device
    real = _fused.forward
    monkeypatch.setattr(_fused, "forward", lambda *given: 1.2 * real(*given))
    with pytest.warns(UserWarning, match=r"runs unfused: its kernels are off by 0\.2 here"):
        assert not _fused.sound.__wrapped__(*sizes)
    monkeypatch.setattr(_fused, "forward", lambda *_: 1 // 0)
    with pytest.warns(UserWarning, match="runs unfused: ZeroDivisionError"):
        assert not _fused.sound.__wrapped__(*sizes)
    monkeypatch.setattr(_fused, "sound", lambda *_: False)
    with torch.no_grad():
        right = net(*given)
        net.fused = True
        with pytest.raises(MisuseError, match="does not give the plain path's answer here"):
            net(*given)
        monkeypatch.setattr(_fused, "_refusal", lambda *_: "why")
        net.fused = None
        assert torch.equal(net(*given), right)


FILMS: dict[str, tuple[str, Callable[..., Trajectory]]] = {
    "particle_gnn": ("fluid", particles.film), "mesh_gnn": ("cloth", sheets.film), "rigid_gnn": ("rigid", solids.film),
}  # fmt: skip


@needs_triton
@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("name", FILMS)
def test_rollouts(name: str, captured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    domain, film = FILMS[name]
    past = film(1, 9, seed=2, extra_script=6)
    known: dict[str, Any] = {"dim": past.scene.dim, "parameters": tuple(sorted(past.scene.parameters))}
    known |= {"spacing": particles.SPACING} if domain == "fluid" else {}
    model: Any = surrogates.create(name, domain, size="xs", **known)
    model.measure(past)
    model.to(DEVICE).eval().captured = captured
    past, real, calls, films = past.to(DEVICE), _fused.forward, list[int](), list[Tensor]()

    def spy(net: EncodeProcessDecode, *given: Any) -> Tensor:
        calls.append(len(given[1]))
        return real(net, *given)

    monkeypatch.setattr(_fused, "forward", spy)
    for fused in (False, True):
        twin = copy.deepcopy(model)
        twin.network.fused = fused
        films.append(twin.rollout(past, 2).position)
    assert max(calls) > 0
    assert float((films[1] - films[0]).abs().max()) <= 1e-6 * float(past.scene.diagonal.max())


def test_a_fused_network_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    net, (node, along, *rest) = network(16), graph(23, 150)
    net.fused = True
    with torch.no_grad():
        monkeypatch.setattr(_fused, "installed", lambda: False)
        with pytest.raises(MisuseError, match="triton is not installed"):
            net(node, along, *rest)
        monkeypatch.setattr(_fused, "installed", lambda: True)
        monkeypatch.setattr(_fused, "interpreted", lambda: False)
        with pytest.raises(MisuseError, match="edges are on cpu, where Triton has its interpreter alone"):
            net(node.cpu(), along.cpu(), *rest)
        monkeypatch.setattr(_fused, "interpreted", lambda: True)
        with pytest.raises(MisuseError, match=r"edges are torch\.float64 and not float32"):
            net(node, along.double(), *rest)
        monkeypatch.setattr(_fused, "MOST", 1000)
        with pytest.raises(MisuseError, match="width 16 and 2400 numbers in a matrix are more than 256 and 1000"):
            net(node, along, *rest)
