"""One step of training: windows, loss, gradients, Adam.

Operations: of all matrix products, forward and backward, as torch counts them while the step runs once. Bytes: the windows read
and written (drawing them), and of each parameter what Adam must touch: value, gradient and two means read, value and means
written, seven words. What the backward pass needs of the forward one could stay on the chip.
"""

from __future__ import annotations

import torch

from ...contracts import stack
from ...datasets import Windows
from ...surrogates._captured_training import source_of
from ...surrogates.particle_gnn import ParticleGNN, build
from ._path import WORD, Asked, HotPath, counted
from ._rates import synchronise
from .clouds import SPACING, film
from .message_passing import SIZE

SCENES, NODES, FRAMES = 8, 480, 20


def paths(asked: Asked) -> list[HotPath]:
    """particle_gnn on batches of four windows; of 32 on a GPU, in one graph and kernel by kernel."""
    size, batch = SIZE[torch.device(asked.device).type], asked.size(2, 4, 32)
    about = f"particle_gnn size {size}, {batch} windows of {NODES} nodes"
    ways = (
        [("training step", None), ("training step, kernel by kernel", False)]
        if asked.cuda
        else [("training step", None)]
    )
    return [_path(name, about, size, batch, captured, asked.device) for name, captured in ways]


def _path(name: str, about: str, size: str, batch: int, captured: bool | None, device: str) -> HotPath:
    model = build("fluid", size=size, spacing=SPACING).to(device)
    model.captured = captured
    windows = Windows(stack([film(NODES, FRAMES)] * SCENES).to(device), model.window)
    source = source_of(model, windows, batch, torch.Generator(device).manual_seed(0))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        source.add_gradients(1)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        synchronise(device)

    moved = 2 * batch * NODES * model.window * 2 * 2 * WORD + 7 * WORD * sum(p.numel() for p in model.parameters())
    return HotPath(name, about, "windows", batch, moved, _operations(model, windows, batch), step)


def _operations(model: ParticleGNN, windows: Windows, batch: int) -> float:
    """Of the loss and its gradients, counted kernel by kernel: a graph's launch shows none of them."""
    generator = torch.Generator(windows.film.device).manual_seed(0)

    def step() -> None:
        model.loss(windows.batch(generator, batch), generator).backward()  # type: ignore[no-untyped-call]

    return counted(step)
