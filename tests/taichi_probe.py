"""A Taichi kernel for tests: the solver's own distances to shapes. Annotations are read by Taichi, so none are deferred."""

import torch
from hedgefox.simulators._sph_solids import row, shape_distance
from hedgefox.simulators._taichi import ti

Array = ti.types.ndarray()


@ti.kernel
def _measure(offset: Array, kind: ti.i32, size: Array, distance: Array, normal: Array):
    for i in range(offset.shape[0]):
        d, n = shape_distance(row(offset, i, 2), kind, row(size, 0, 2), 2)
        distance[i] = d
        for k in ti.static(range(2)):
            normal[i, k] = n[k]


def shape_distances(offset: torch.Tensor, kind: int, size: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Signed distances (n,) and outward normals (n, 2) of offsets (n, 2) from a shape's centre."""
    distance, normal = torch.zeros(len(offset)), torch.zeros_like(offset)
    _measure(offset, kind, size.reshape(1, 2), distance, normal)
    return distance, normal
