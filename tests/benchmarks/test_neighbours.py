"""Nodes a second of the neighbour search, beside the floor: reading the positions and writing the edges once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hedgefox.bench.floors._rates import copy_bandwidth, synchronise
from hedgefox.bench.floors.clouds import cloud
from hedgefox.bench.floors.neighbours import RADIUS
from hedgefox.surrogates._neighbours import radius_graph

from .clouds import MOST_SLOPE, SIZES, slope

CUDA = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
CASES = [("cpu", "tree"), ("cpu", "cells"), pytest.param("cuda", "cells", marks=CUDA)]


def search(n_nodes: int, device: str, backend: str, dim: int = 2) -> Callable[[], torch.Tensor]:
    x, cut = cloud(n_nodes, dim).to(device), torch.tensor([0, n_nodes], device=device)

    def once() -> torch.Tensor:
        edges = radius_graph(x, RADIUS, cut, backend=backend)
        synchronise(device)
        return edges

    return once


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize(("device", "backend"), CASES)
@pytest.mark.parametrize("n_nodes", SIZES)
def test_nodes_per_second(benchmark: Any, n_nodes: int, device: str, backend: str, dim: int) -> None:
    edges = benchmark(search(n_nodes, device, backend, dim))
    if benchmark.stats is None:
        return
    moved = n_nodes * dim * 4 + edges.numel() * 8
    benchmark.extra_info["nodes_per_second"] = n_nodes / benchmark.stats["median"]
    benchmark.extra_info["edges"] = int(edges.shape[1])
    benchmark.extra_info["floor_s"] = moved / copy_bandwidth(device)


@pytest.mark.long
@pytest.mark.parametrize(("device", "backend"), CASES)
def test_linear_in_nodes(device: str, backend: str) -> None:
    assert slope(lambda n: search(n, device, backend)) <= MOST_SLOPE
