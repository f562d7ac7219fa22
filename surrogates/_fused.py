"""A round of messages in three kernels, for inference on CUDA; the plain one (_message_passing.py) is a kernel for every operation.

    edges     e += norm(W₂ relu(W₁ e + s[sender] + r[receiver] + b₁) + b₂)      read once, written once, over themselves
    sums      a_j = Σ_i e_ij                                                     in order, no atomic additions
    nodes     x += norm(V₂ relu(V₁ [x, a] + c₁) + c₂), and the next round's s, r = W x

Reckoned, not measured, for 10 rounds of width C = 128, N = 2.7 k, E = 54 k on an H200: copies 4.3 TB/s as measured, bfloat16 790
TFLOP/s, float32 67 outside of the tensor cores. A pass over all edges is 4 C E = 28 MB or 6.4 µs; a round, without room to spare:

    operations            2 C² (2 E + 5 N) = 4.0 GFLOP: 60 µs in float32, 24 in three tf32 products, 5 in bfloat16
    plain, float32        11 passes read, 9 written: two gathers, two products, two sums, ReLU, norm, residual, sum at receivers
                          → 20 · 6.4 = 129 µs, and the products 60: 1.9 ms for ten rounds
    plain, bfloat16       16 passes, half of them of half the width, and a cast for each weight: 100 µs and 5
    fused, float32 edges  read, written, read again by the sums: 19 µs of bytes; the rows of s and r that are gathered, 28 MB in
                          bfloat16, and the weights of every tile, 28 MB, come from L2 at about 5.5 TB/s: 10 µs
    three kernels         besides, N rows give 85 tiles: a wave, five products deep, 5 µs; launches in a graph 3 µs

So about 35 µs a round in bfloat16 against 105, 0.35 ms for ten; in float32 about 55 against 190. An edge tile is read and written
by one program, the sums are a kernel of their own: within the first they would save one pass of three, for tiles cut at receivers,
a third of their rows empty. Where edges are not sorted by receiver their sums stay as they are.

Shapes of blocks are tables (`EDGE_BLOCKS`, `NODE_BLOCKS`), never tuned on the fly: other blocks are other roundings, and tuning
would run within a capture. What a CPU could say of them is in docs/performance.md.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..contracts import MisuseError

if TYPE_CHECKING:
    from ._message_passing import Arriving, EncodeProcessDecode, Interaction

WIDEST = 256
"""Widths beyond do not fit into the registers of a program."""
MOST = 2**31 - 1
"""Numbers in a matrix: kernels count them in 32 bits."""
SINGLE_PRODUCTS = "tf32x3"
"""How products of float32 are taken, see _fused_kernels.py: "ieee" or, on tensor cores and as exact to a bit or two, "tf32x3"."""
SUMMED = 16
"""Edges of one receiver that are read at once: most have about twenty."""
ALIKE = 5e-2
"""Largest difference from the plain path, as a share of the largest answer, that `sound` allows: what is wrong is off by far more,
and how near both come is for tests to say."""


@dataclass(frozen=True)
class Blocks:
    """How a kernel is cut up."""

    rows: int
    """A program handles so many edges or nodes."""
    columns: int
    """Hidden features taken at a time, and the most outputs of a first product."""
    inner: int
    """Inputs of a first product taken at a time."""
    warps: int
    stages: int = 1
    """Loads that run ahead of a loop's products."""

    def within(self, width: int, inputs: int) -> dict[str, int]:
        """Those of a kernel of such a width, none larger than what it cuts."""
        cut = {"COLUMNS": min(self.columns, width), "INNER": min(self.inner, inputs)}
        return {"ROWS": self.rows, **cut, "num_warps": self.warps, "num_stages": self.stages}


EDGE_BLOCKS: Mapping[tuple[int, bool], Blocks] = {
    (16, False): Blocks(64, 16, 16, 4),
    (16, True): Blocks(64, 16, 16, 4),
    (32, False): Blocks(64, 32, 32, 4),
    (32, True): Blocks(64, 32, 32, 4),
    (64, False): Blocks(64, 32, 32, 4),
    (64, True): Blocks(64, 64, 64, 4),
    (128, False): Blocks(64, 32, 32, 4),
    (128, True): Blocks(64, 128, 128, 4),
    (256, False): Blocks(64, 16, 16, 8),
    (256, True): Blocks(64, 64, 64, 8),
}
"""By width (a power of two) and whether products are half. None spills registers for compute capability 9.0 (Triton 3.6)."""
NODE_BLOCKS: Mapping[tuple[int, bool], Blocks] = {
    (16, False): Blocks(16, 16, 16, 4),
    (16, True): Blocks(16, 16, 16, 4),
    (32, False): Blocks(16, 32, 32, 4),
    (32, True): Blocks(16, 32, 32, 4),
    (64, False): Blocks(16, 32, 32, 4),
    (64, True): Blocks(16, 64, 64, 4),
    (128, False): Blocks(16, 32, 32, 4),
    (128, True): Blocks(16, 64, 64, 4, 2),
    (256, False): Blocks(16, 32, 32, 8),
    (256, True): Blocks(16, 64, 64, 8),
}
"""The same. There are few nodes: tiles are small, so that they spread over the chip."""


def chosen(network: EncodeProcessDecode, node_NF: Tensor, edge_EF: Tensor) -> bool:
    """Whether a network's forward pass over such rows takes this path. Raises MisuseError where it must and cannot."""
    wanted = edge_EF.is_cuda if network.fused is None else network.fused
    if not wanted or torch.is_grad_enabled():
        return False
    why = _refusal(network, node_NF, edge_EF)
    if why is not None and network.fused:
        raise MisuseError(f"a network is to be fused, but {why}; fused = None takes this path where it can be taken")
    return why is None


def _refusal(network: EncodeProcessDecode, node_NF: Tensor, edge_EF: Tensor) -> str | None:
    """Why this path cannot be taken, in words; None where it can."""
    width, device = network.encode_edge.first.out_features, edge_EF.device
    if not installed():
        return "triton is not installed"
    if device.type != "cuda" and not interpreted():
        return f"edges are on {device.type}, where Triton has its interpreter alone (TRITON_INTERPRET=1)"
    if edge_EF.dtype != torch.float32:
        return f"edges are {edge_EF.dtype} and not float32"
    numbers = max(len(edge_EF) * max(width, edge_EF.shape[1]), 2 * width * len(node_NF))
    if width > WIDEST or numbers > MOST:
        return f"width {width} and {numbers} numbers in a matrix are more than {WIDEST} and {MOST}"
    sizes = node_NF.shape[1], edge_EF.shape[1], network.decode.tail[1].out_features
    return None if sound(*sizes, width, network.precision, device) else "it does not give the plain path's answer here"


@cache
def installed() -> bool:
    """Whether there is a Triton."""
    return importlib.util.find_spec("triton") is not None


def interpreted() -> bool:
    """Whether kernels run in Triton's interpreter, on the CPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@cache
@torch.no_grad()
def sound(n_node: int, n_edge: int, n_out: int, width: int, precision: str, device: torch.device) -> bool:
    """Whether kernels of this size compile here and give the plain path's answer; where not, a warning says so. Asked once."""
    from ._message_passing import AtReceivers, EncodeProcessDecode

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = EncodeProcessDecode(n_node, n_edge, n_out, width, 2, precision).to(device).eval()
        node, along = torch.randn(37, n_node).to(device), torch.randn(150, n_edge).to(device)
        receiver = torch.randint(37, (150,)).sort().values
        index = torch.stack([torch.randint(37, (150,)), receiver]).to(device)
    ptr = torch.searchsorted(receiver, torch.arange(38)).to(device)
    network.fused = False
    right = network(node, along, index)
    try:
        error = (forward(network, node, along, index, AtReceivers(ptr)) - right).abs().max() / right.abs().max()
    except Exception as refused:  # whatever a compiler, a driver or a library of another version may raise
        warnings.warn(f"message passing runs unfused: {type(refused).__name__}: {str(refused)[:200]}", stacklevel=4)
        return False
    if not bool(error <= ALIKE):
        warnings.warn(f"message passing runs unfused: its kernels are off by {float(error):.1g} here", stacklevel=4)
        return False
    return True


def forward(
    network: EncodeProcessDecode, node_NF: Tensor, edge_EF: Tensor, index_2E: Tensor, arriving: Arriving | None
) -> Tensor:
    """As the network's own."""
    with torch.no_grad(), _on(node_NF.device), network.products(node_NF.device):
        run = _Pass(network, index_2E.contiguous(), arriving, len(node_NF))
        x_NC = network.encode_node(node_NF).float().contiguous()
        e_EC = run.encoded(edge_EF.contiguous())
        out: Tensor = network.decode(run.processed(x_NC, e_EC))
    return out.to(node_NF.dtype)


def _on(device: torch.device) -> AbstractContextManager[Any]:
    """Triton launches on the device that is current."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


class _Pass:
    """One forward pass: who sends to whom, how sums are taken, the weights in the precision of products."""

    def __init__(self, network: EncodeProcessDecode, index_2E: Tensor, arriving: Arriving | None, n_nodes: int) -> None:
        from . import _fused_kernels
        from ._message_passing import AtReceivers

        self.kernels, self.network, self.half = _fused_kernels, network, network.halved
        self.index_2E, self.arriving, self.n_nodes = index_2E, arriving, n_nodes
        self.ptr = arriving.ptr.contiguous() if isinstance(arriving, AtReceivers) else None
        self.width = network.encode_edge.first.out_features
        self.padded = padded(self.width)
        self.weight = _weights(network)

    def encoded(self, edge_EF: Tensor) -> Tensor:
        """Edge features after their encoder, (E, C)."""
        kept = torch.bfloat16 if self.network.edges_half and self.half and self.ptr is not None else torch.float32
        e_EC = edge_EF.new_empty((len(edge_EF), self.width), dtype=kept)
        encoder = self.network.encode_edge
        self._edges(edge_EF, e_EC, encoder.first, encoder.tail, None)
        return e_EC

    def processed(self, x_NC: Tensor, e_EC: Tensor) -> Tensor:
        """Nodes after all rounds, (N, C); edges are written over."""
        all_rounds = rounds(self.network)
        if not all_rounds:
            return x_NC
        ends_NP = nn.functional.linear(x_NC.to(self.dtype), self.weight[all_rounds[0].from_nodes])
        x_NC = x_NC.clone()
        for this, later in zip(all_rounds, [*all_rounds[1:], None], strict=True):
            self._edges(e_EC, e_EC, this.from_edge, this.edge_tail, ends_NP)
            self._nodes(x_NC, self._sums(e_EC, x_NC), this, later, ends_NP)
        return x_NC

    @property
    def dtype(self) -> torch.dtype:
        """Of products."""
        return torch.bfloat16 if self.half else torch.float32

    def _constants(self, blocks: Blocks, inputs: int) -> dict[str, Any]:
        how = {"HALF": self.half, "PRECISION": SINGLE_PRODUCTS, "INTERPRETED": interpreted()}
        return {"C": self.width, "WIDTH": self.padded, **how, **blocks.within(self.padded, inputs)}

    def _edges(
        self, in_EF: Tensor, out_EC: Tensor, first: nn.Linear, tail: nn.Sequential, ends_NP: Tensor | None
    ) -> None:
        n_edges, n_in = in_EF.shape
        blocks, inputs = EDGE_BLOCKS[self.padded, self.half], padded(n_in)
        if n_edges == 0:
            return
        self.kernels.edge_kernel[(-(-n_edges // blocks.rows),)](
            in_EF, out_EC, self.weight[first], first.bias, *self._tail(tail),
            ends_NP, self.index_2E, self.ptr, self.n_nodes, n_edges, _norm(tail).eps,
            F=n_in, INPUTS=inputs, UPDATE=ends_NP is not None, COUNTED=self.ptr is not None,
            KEPT_HALF=out_EC.dtype == torch.bfloat16, **self._constants(blocks, inputs),
        )  # fmt: skip

    def _sums(self, e_EC: Tensor, like_NC: Tensor) -> Tensor:
        if self.ptr is not None:
            total = torch.empty_like(like_NC)
            self.kernels.sum_kernel[(self.n_nodes,)](
                e_EC, self.ptr, total, C=self.width, WIDTH=self.padded, ROWS=SUMMED, num_warps=4
            )
            return total
        if self.arriving is not None:
            return self.arriving(e_EC)
        return torch.zeros_like(like_NC).index_add_(0, self.index_2E[1], e_EC)

    def _nodes(
        self, x_NC: Tensor, arriving_NC: Tensor, this: Interaction, later: Interaction | None, ends_NP: Tensor
    ) -> None:
        blocks, node = NODE_BLOCKS[self.padded, self.half], this.node
        self.kernels.node_kernel[(-(-self.n_nodes // blocks.rows),)](
            x_NC, arriving_NC, x_NC, self.weight[node.first], node.first.bias, *self._tail(node.tail),
            None if later is None else self.weight[later.from_nodes], ends_NP, self.n_nodes, _norm(node.tail).eps,
            NEXT=later is not None, **self._constants(blocks, self.padded),
        )  # fmt: skip

    def _tail(self, tail: nn.Sequential) -> tuple[Tensor, ...]:
        """Weights and biases behind a first layer, in the order of the kernels' arguments."""
        second, norm = _linear(tail), _norm(tail)
        return self.weight[second], second.bias, norm.weight, norm.bias


def _linear(tail: nn.Sequential) -> nn.Linear:
    layer = tail[1]
    assert isinstance(layer, nn.Linear)
    return layer


def _norm(tail: nn.Sequential) -> nn.LayerNorm:
    layer = tail[2]
    assert isinstance(layer, nn.LayerNorm)
    return layer


def rounds(network: EncodeProcessDecode) -> list[Interaction]:
    """Of messages."""
    return list(network.process)  # type: ignore[arg-type]


def padded(n: int) -> int:
    """The least power of two that is not less, and one that tensor cores take."""
    return max(16, 1 << (n - 1).bit_length())


def _weights(network: EncodeProcessDecode) -> dict[nn.Module, Tensor]:
    """The matrix of each layer that kernels multiply by, in the precision of products.

    They are cast anew in every pass, in two kernels for all: a capture then reads weights as they are when it is launched.
    """
    layers = [_linear(network.encode_edge.tail)]
    for this in rounds(network):
        layers += [this.from_edge, _linear(this.edge_tail), this.from_nodes, this.node.first, _linear(this.node.tail)]
    layers.append(network.encode_edge.first)  # last, since its size may put what follows at an odd address
    if not network.halved:
        return {layer: layer.weight for layer in layers}
    packed = torch.cat([layer.weight.flatten() for layer in layers]).to(torch.bfloat16)
    parts = torch.split(packed, [layer.weight.numel() for layer in layers])
    return {layer: part.view_as(layer.weight) for layer, part in zip(layers, parts, strict=True)}
