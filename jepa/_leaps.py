"""The predictor in calls of fixed shape: on CUDA one graph a leap, whatever the number of frames that it leaps over.

A leap is some hundred small kernels. What it reads (tokens, what the script moves, the condition) is made outside, since that
looks at pointers; the predictor itself only ever sees tensors of (scenes, tokens, driven things). Each such shape has a graph of
its own, with exactly as much room as it needs, so nothing is padded and nothing can overflow. The last few are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ..surrogates._captured import Captured, Ready

KEPT = 8
"""Shapes that are kept: a rollout has at most four, a plan three."""

Predict = Callable[..., Tensor]
"""The predictor, or what stands for it: its arguments, its answer."""


class Leaps:
    """Predictors in calls of fixed shape that are ready; a copy of the model begins with none."""

    def __init__(self) -> None:
        self.ready: Ready[Captured] = Ready(KEPT)

    def __call__(self, predictor: nn.Module, *inputs: Tensor | None) -> Tensor:
        """What the predictor answers, which is the caller's to keep; nothing has gradients."""
        given = [x for x in inputs if x is not None]
        there = tuple(x is not None for x in inputs)
        call = self.ready.for_((there, given), predictor, lambda: Captured(_of_tensors(predictor, there), given))
        return call(*given)[0].clone()


def _of_tensors(predictor: nn.Module, there: Sequence[bool]) -> Callable[..., list[Tensor]]:
    """The predictor of those inputs that are there."""

    def function(*given: Tensor) -> list[Tensor]:
        left = iter(given)
        return [predictor(*(next(left) if is_there else None for is_there in there))]

    return function
