"""Encode-process-decode on a graph: the network of Sanchez-Gonzalez et al. 2020 (GNS), which knows no physics.

    x_i = f_v(node_i),  e_ij = f_e(edge_ij)
    e_ij += g_e(e_ij, x_i, x_j),  x_j += g_v(x_j, Σ_i e_ij)      message_passing_steps times, weights not shared
    out_j = h(x_j)

Each function is a perceptron with one hidden layer (LagrangeBench's GNS: a quarter fewer parameters than DeepMind's at the
same error), with LayerNorm after all but the decoder. Axis letters: N nodes, E edges, F features in, C width.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..contracts import MisuseError
from . import _fused

SINGLE, HALF = "float32", "bfloat16"
"""Precisions of products."""
CHUNK = 8192
"""Edges handled at once when a CPU only predicts: what is in between stays in the cache, and time stays linear in size."""


Arriving = Callable[[Tensor], Tensor]
"""Sums of edges (E, C) at each node, (N, C)."""


def sums(rows_EC: Tensor, ptr: Tensor) -> Tensor:
    """Sums over groups of rows cut by a pointer (N+1,), in order and without atomic additions; rows beyond its end are in none.

    On a CPU twice as slow as adding rows up where they belong, and the same to the last bit.
    """
    return torch.segment_reduce(rows_EC, "sum", offsets=ptr, axis=0, unsafe=True, initial=0)


@dataclass(frozen=True)
class AtReceivers:
    """Sums of edges that are sorted by receiver, cut by a pointer (N+1,)."""

    ptr: Tensor

    def __call__(self, rows_EC: Tensor) -> Tensor:
        """(E, C) → (N, C)."""
        return sums(rows_EC, self.ptr)


def whole(rows: Tensor) -> bool:
    """Whether to handle all rows at once: always where gradients are wanted, and on a GPU, which has no such cache to miss."""
    return torch.is_grad_enabled() or rows.is_cuda or rows.shape[0] <= CHUNK


def in_chunks(function: Callable[[Tensor], Tensor], rows_EF: Tensor) -> Tensor:
    """A function of single rows, (E, F) → (E, C)."""
    if whole(rows_EF):
        return function(rows_EF)
    return torch.cat([function(part) for part in torch.split(rows_EF, CHUNK)])


class Perceptron(nn.Module):
    """Linear, ReLU, linear and, unless told otherwise, LayerNorm."""

    def __init__(self, n_in: int, width: int, n_out: int, norm: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(n_in, width)
        self.tail = _tail(width, n_out, norm)

    def forward(self, x_NF: Tensor) -> Tensor:
        """(N, F) → (N, C)."""
        out: Tensor = self.tail(self.first(x_NF))
        return out


def _tail(width: int, n_out: int, norm: bool) -> nn.Sequential:
    parts: list[nn.Module] = [nn.ReLU(inplace=True), nn.Linear(width, n_out)]
    return nn.Sequential(*parts, nn.LayerNorm(n_out)) if norm else nn.Sequential(*parts)


class Interaction(nn.Module):
    """One round of messages along the edges.

    The first layer over [e, x_sender, x_receiver] is split by linearity, W_e e + (W_s x)[sender] + (W_r x)[receiver]: the two
    node products are taken once a node and not once an edge, and nothing of width 3C is ever stored.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.from_edge = nn.Linear(width, width)
        self.from_nodes = nn.Linear(width, 2 * width, bias=False)
        self.edge_tail = _tail(width, width, norm=True)
        self.node = Perceptron(2 * width, width, width)

    def forward(
        self, x_NC: Tensor, e_EC: Tensor, edge_index_2E: Tensor, arriving: Arriving | None = None
    ) -> tuple[Tensor, Tensor]:
        """Nodes (N, C) and edges (E, C), each updated as a residual; see `EncodeProcessDecode`."""
        ends = self.from_nodes(x_NC).chunk(2, dim=-1)
        arriving_NC = torch.zeros_like(x_NC)
        if arriving is not None:
            e_EC = self.edge_update(ends, e_EC, edge_index_2E)
            arriving_NC = arriving(e_EC)
        elif whole(e_EC):
            e_EC = self.edge_update(ends, e_EC, edge_index_2E)
            arriving_NC.index_add_(0, edge_index_2E[1], e_EC)
        else:
            # The same sums in the same order, a cache-full at a time, written over the old edges.
            for start in range(0, e_EC.shape[0], CHUNK):
                part = slice(start, start + CHUNK)
                e_EC[part] = self.edge_update(ends, e_EC[part], edge_index_2E[:, part])
                arriving_NC.index_add_(0, edge_index_2E[1, part], e_EC[part])
        return x_NC + self.node(torch.cat([x_NC, arriving_NC], dim=-1)), e_EC

    def edge_update(self, ends: tuple[Tensor, ...], e_EC: Tensor, edge_index_2E: Tensor) -> Tensor:
        """Edges after this round's message, (E, C); `ends` are the products of the nodes as sender and as receiver, (N, C) each."""
        as_sender_NC, as_receiver_NC = ends
        sender_E, receiver_E = edge_index_2E
        hidden_EC = self.from_edge(e_EC)
        hidden_EC = hidden_EC + as_sender_NC.index_select(0, sender_E) + as_receiver_NC.index_select(0, receiver_E)
        updated: Tensor = e_EC + self.edge_tail(hidden_EC)
        return updated


class EncodeProcessDecode(nn.Module):
    """Node and edge features to node outputs.

    In `precision` "bfloat16" the products of all perceptrons are taken in it (Micikevicius et al. 2018, arXiv:1710.03740);
    features that go from round to round, norms and sums stay in single precision, as do positions outside. Raises MisuseError
    for a precision of another name.
    """

    fused: bool | None = None
    """Whether to predict by a few large kernels (_fused.py), with Triton; None: on a GPU. Never where gradients are wanted."""
    edges_half = False
    """Whether fused rounds of bfloat16 products hand on edges in bfloat16, too, where they are sorted by receiver: half the bytes
    of the longest arrays."""

    def __init__(
        self, n_node: int, n_edge: int, n_out: int, width: int, message_passing_steps: int, precision: str = SINGLE
    ) -> None:
        super().__init__()
        if precision not in (SINGLE, HALF):
            raise MisuseError(f"precision is {precision!r}; {SINGLE!r} or {HALF!r} is right")
        self.precision = precision
        self.encode_node = Perceptron(n_node, width, width)
        self.encode_edge = Perceptron(n_edge, width, width)
        self.process = nn.ModuleList(Interaction(width) for _ in range(message_passing_steps))
        self.decode = Perceptron(width, width, n_out, norm=False)

    @property
    def halved(self) -> bool:
        """Whether products are taken in bfloat16."""
        return self.precision == HALF

    def products(self, device: torch.device) -> AbstractContextManager[Any]:
        """Where products are taken in the network's precision."""
        return torch.autocast(device.type, torch.bfloat16) if self.halved else nullcontext()

    def forward(
        self, node_NF: Tensor, edge_EF: Tensor, edge_index_2E: Tensor, arriving: Arriving | None = None
    ) -> Tensor:
        """Node features (N, F), edge features (E, F'), edge_index (2, E) of senders and receivers → (N, n_out).

        `arriving` sums edges (E, C) at their receivers, (N, C), where another way than adding up all of them is right.
        """
        if _fused.chosen(self, node_NF, edge_EF):
            return _fused.forward(self, node_NF, edge_EF, edge_index_2E, arriving)
        with self.products(node_NF.device):
            x_NC, e_EC = self.encode_node(node_NF), in_chunks(self.encode_edge, edge_EF)
            for interaction in self.process:
                x_NC, e_EC = interaction(x_NC, e_EC, edge_index_2E, arriving)
            out: Tensor = self.decode(x_NC)
        return out.to(node_NF.dtype)
