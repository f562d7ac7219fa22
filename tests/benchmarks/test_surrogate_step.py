"""One frame of particle_gnn: graph, features, network, integration. The floor: its matrix products at the machine's best speed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hedgefox.contracts import Frame
from hedgefox.surrogates.particle_gnn import ParticleGNN, build

from .clouds import MOST_SLOPE, SIZES, SPACING, best_time, film, slope
from .test_loader import synchronise

CUDA = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]


def stepping(n_nodes: int, device: str, size: str = "s") -> tuple[ParticleGNN, Callable[[], Frame]]:
    model = build("fluid", size=size, spacing=SPACING).to(device).eval()
    past = film(n_nodes, model.card.history).to(device)
    state, script = model.encode(past), past.scene.script.starting_at(past.n_frames - 1)

    @torch.no_grad()
    def once() -> Frame:
        frame = model.decode(model.advance(state, script))
        synchronise(device)
        return frame

    return model, once


def flops(model: ParticleGNN, n_nodes: int, n_edges: int) -> int:
    """Of the matrix products of one frame: two for each weight and each row that it meets."""
    total = 0
    for name, weight in model.network.named_parameters():
        if weight.dim() == 2:
            rows = n_edges if "edge" in name else n_nodes
            total += 2 * weight.numel() * rows
    return total


def best_flops_per_second(device: str) -> float:
    a = torch.randn((1024, 1024), device=device)

    def multiply() -> None:
        a @ a
        synchronise(device)

    return 2 * 1024**3 / best_time(multiply, 0.3)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n_nodes", SIZES)
def test_nodes_per_second(benchmark: Any, n_nodes: int, device: str) -> None:
    model, once = stepping(n_nodes, device)
    frame = benchmark(once)
    if benchmark.stats is None:
        return
    past = film(n_nodes, model.card.history).to(device)
    state = model.encode(past)
    index, _ = model.edges(state.scene, state.position[1:] - state.position[:-1], state.position[-1])
    assert frame.position.isfinite().all()
    benchmark.extra_info["nodes_per_second"] = n_nodes / benchmark.stats["median"]
    benchmark.extra_info["floor_s"] = flops(model, n_nodes, index.shape[1]) / best_flops_per_second(device)


@pytest.mark.long
@pytest.mark.parametrize("device", DEVICES)
def test_linear_in_nodes(device: str) -> None:
    assert slope(lambda n: stepping(n, device)[1]) <= MOST_SLOPE
