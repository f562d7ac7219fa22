"""One training in several processes, as `torchrun` starts them: each takes its share of every batch, and gradients are averaged.

The batch, its random numbers and the steps are those of one process: all draw the same numbers and each keeps its rows, so that
two processes of four windows train what one of eight does, up to the order of float sums. Gradients are reduced here, by name,
and not by a wrapper whose forward could be gone around.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from ..contracts import MisuseError


def number() -> int:
    """Processes of this training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def place() -> int:
    """Which of them this is, from 0; that one writes files."""
    return dist.get_rank() if number() > 1 else 0


@contextmanager
def together(device: torch.device) -> Iterator[None]:
    """Join the processes that `torchrun` started, if it did; leave them at the end."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or number() > 1:
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
        wait()
    finally:
        dist.destroy_process_group()


def wait() -> None:
    """Go on when all have come so far."""
    if number() > 1:
        dist.barrier()


def mine(rows: Tensor) -> Tensor:
    """This process's rows of a batch, all of equal number; raises MisuseError when they cannot be."""
    if len(rows) % number():
        raise MisuseError(f"a batch of {len(rows)} cannot be shared by {number()} processes; choose a multiple")
    return rows.chunk(number())[place()]


def drawn(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Even random numbers for this process's rows of a batch, (rows, columns): those that one process alone would draw for them."""
    return mine(torch.rand((rows * number(), columns), generator=generator, device=generator.device))


def normal(like: Tensor, axis: int, generator: torch.Generator) -> Tensor:
    """Standard normal numbers in the shape of `like`, whose rows along `axis` are this process's part of all.

    They are those that one process alone would draw for these rows; the parts may be of unlike length.
    """
    shape, first = list(like.shape), 0
    if number() > 1:
        held = _counts(shape[axis], like.device)
        shape[axis], first = sum(held), sum(held[: place()])
    drawn = torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)
    return drawn.narrow(axis, first, like.shape[axis])


def mean(values: Tensor) -> Tensor:
    """The mean of values (n,): in several processes this one's share of the mean over the values of all, in such a form that the
    mean of the shares, which `average` makes of their gradients, is it, although the processes hold unlike numbers of values."""
    if number() == 1:
        return values.mean()
    return values.sum() * (number() / sum(_counts(values.numel(), values.device)))


def _counts(mine_: int, device: torch.device) -> list[int]:
    """A number of each process, in order."""
    held = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(number())]
    dist.all_gather(held, torch.tensor([mine_], device=device))
    return [int(x) for x in held]


def everyone(rows: Tensor) -> Tensor:
    """The rows of all processes, in order, differentiable in each; unchanged in one process.

    Each process then computes the same loss of all rows; the gradients that come back are summed, and `average` makes them once.
    """
    if number() == 1:
        return rows
    from torch.distributed.nn.functional import all_gather

    return torch.cat(list(all_gather(rows.contiguous())))  # type: ignore[no-untyped-call]


def average(parameters: Iterable[Tensor]) -> None:
    """Make the gradients of all processes their mean."""
    if number() == 1:
        return
    held = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in held])
    dist.all_reduce(flat)
    flat /= number()
    for gradient, part in zip(held, torch.split(flat, [g.numel() for g in held]), strict=True):
        gradient.copy_(part.view_as(gradient))
