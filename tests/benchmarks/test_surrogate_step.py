"""One frame of particle_gnn: graph, features, network, integration. The floor: its matrix products at the machine's best speed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hedgefox.bench.floors._rates import best_flops_per_second
from hedgefox.bench.floors.message_passing import operations, stepping

from .clouds import MOST_SLOPE, SIZES, slope

CUDA = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n_nodes", SIZES)
def test_nodes_per_second(benchmark: Any, n_nodes: int, device: str) -> None:
    model, once = stepping(n_nodes, device)
    frame = benchmark(once)
    if benchmark.stats is None:
        return
    assert frame.position.isfinite().all()
    benchmark.extra_info["nodes_per_second"] = n_nodes / benchmark.stats["median"]
    benchmark.extra_info["floor_s"] = operations(model, n_nodes, once.n_edges()) / best_flops_per_second(device)


@pytest.mark.long
@pytest.mark.parametrize("device", DEVICES)
def test_linear_in_nodes(device: str) -> None:
    assert slope(lambda n: stepping(n, device)[1]) <= MOST_SLOPE
