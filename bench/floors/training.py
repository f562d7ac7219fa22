"""One step of training: windows, loss, gradients, Adam.

Operations: of all matrix products, forward and backward, as torch counts them while the step runs once. Bytes: the windows read
and written (drawing them), and of each parameter what Adam must touch: value, gradient and two means read, value and means
written, seven words. What the backward pass needs of the forward one could stay on the chip.
"""

from __future__ import annotations

import torch

from ...contracts import stack
from ...datasets import Windows
from ...surrogates.particle_gnn import build
from ._path import WORD, Asked, HotPath, counted
from ._rates import synchronise
from .clouds import SPACING, film
from .message_passing import SIZE

SCENES, NODES, FRAMES = 8, 480, 20


def paths(asked: Asked) -> list[HotPath]:
    """particle_gnn on batches of four windows; of 32 on a GPU."""
    size, batch = SIZE[torch.device(asked.device).type], asked.size(2, 4, 32)
    model = build("fluid", size=size, spacing=SPACING).to(asked.device)
    windows = Windows(stack([film(NODES, FRAMES)] * SCENES).to(asked.device), model.window)
    generator = torch.Generator(asked.device).manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        model.loss(windows.batch(generator, batch), generator).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        synchronise(asked.device)

    nodes = batch * NODES
    drawn = 2 * nodes * model.window * 2 * 2 * WORD
    moved = drawn + 7 * WORD * sum(p.numel() for p in model.parameters())
    about = f"particle_gnn size {size}, {batch} windows of {NODES} nodes"
    return [HotPath("training step", about, "windows", batch, moved, counted(step), step)]
