"""A function of tensors whose shapes never change, as one CUDA graph: launched whole instead of kernel by kernel.

What it reads lies in buffers of its own, which a call fills; on a CPU the function is called on the same buffers, so that all but
the launch itself is the same there. A captured function may neither ask the device for a number nor make a tensor whose shape
depends on one (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

from __future__ import annotations

import dataclasses
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Tree = TypeVar("Tree")
Made = TypeVar("Made")

WARM_UP = 3
"""Calls before capture, in which libraries set themselves up; PyTorch's own examples take as many."""


class Captured:
    """A function of tensors, ready for calls with tensors of the shapes of `examples`.

    The function gives tensors, which the next call overwrites on CUDA: copy what is to stay. It may write to what it is given.
    One that cannot be captured is called as it is, and a warning says why. `generators` are those that it draws from; warming up
    draws from them too.
    """

    def __init__(
        self,
        function: Callable[..., Sequence[Tensor]],
        examples: Sequence[Tensor],
        generators: Sequence[torch.Generator] = (),
    ) -> None:
        self.function, self.generators = function, generators
        self.buffers = [x.clone() for x in examples]
        self.graph: torch.cuda.CUDAGraph | None = None
        self._answers: Sequence[Tensor] = ()
        if any(x.is_cuda for x in self.buffers):
            self._capture()
            self.fill(examples)

    def fill(self, values: Sequence[Tensor], first: int = 0) -> None:
        """Write to the buffers, from number `first` on."""
        for held, value in zip(self.buffers[first : first + len(values)], values, strict=True):
            held.copy_(value)

    def __call__(self, *values: Tensor) -> Sequence[Tensor]:
        """Fill the first buffers, call the function on all."""
        self.fill(values)
        if self.graph is None:
            return self.function(*self.buffers)
        self.graph.replay()
        return self._answers

    def _capture(self) -> None:
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                self.function(*self.buffers)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        try:
            # Other threads, such as one that reads a meter, may go on calling the driver meanwhile.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._answers = self.function(*self.buffers)
        except RuntimeError as error:
            torch.cuda.synchronize()
            warnings.warn(f"not captured, runs kernel by kernel: {str(error).splitlines()[0]}", stacklevel=3)
            return
        self.graph = graph


class Ready(OrderedDict[Hashable, Made]):
    """What is ready for values of one outline and for a module's weights where they lie; the last `kept` stay.

    A copy begins with none.
    """

    def __init__(self, kept: int) -> None:
        super().__init__()
        self.kept = kept

    def __reduce__(self) -> tuple[type[Ready[Made]], tuple[int]]:
        return Ready, (self.kept,)

    def for_(self, tree: Any, module: nn.Module, make: Callable[[], Made]) -> Made:
        """The one that is ready, else what is made."""
        key = (outline(tree), tuple(x.data_ptr() for x in (*module.parameters(), *module.buffers())))
        self[key] = made = self.pop(key) if key in self else make()
        if len(self) > self.kept:
            self.popitem(last=False)
        return made


def parts(tree: Any) -> Iterator[tuple[str, Any]]:
    """What a dataclass, a mapping or a sequence is made of, by name.

    Properties that a dataclass keeps once they are known (`cached_property`) are parts of it: whoever holds the tree anew has
    them without asking the device again.
    """
    if dataclasses.is_dataclass(tree):
        yield from ((f.name, getattr(tree, f.name)) for f in dataclasses.fields(tree))
        yield from ((n, getattr(tree, n)) for n, kept in vars(type(tree)).items() if isinstance(kept, cached_property))
    elif isinstance(tree, Mapping):
        yield from sorted(tree.items())
    elif isinstance(tree, (tuple, list)):
        yield from ((str(k), x) for k, x in enumerate(tree))


def is_branch(x: Any) -> bool:
    """Whether something is looked into."""
    return dataclasses.is_dataclass(x) or isinstance(x, (Mapping, tuple, list))


def tensors_of(tree: Any) -> list[Tensor]:
    """All tensors of a tree, in a fixed order."""
    if isinstance(tree, Tensor):
        return [tree]
    return [x for _, part in parts(tree) for x in tensors_of(part)]


def outline(tree: Any) -> Hashable:
    """All of a tree but the numbers in its tensors: trees of one outline differ in those alone."""
    if isinstance(tree, Tensor):
        return (tuple(tree.shape), str(tree.dtype), str(tree.device))
    if is_branch(tree):
        return (type(tree), tuple((name, outline(part)) for name, part in parts(tree)))
    hash(tree)
    return (type(tree), tree)


def rebuilt(tree: Tree, tensors: Iterator[Tensor]) -> Tree:
    """The same tree with other tensors, in the order of `tensors_of`."""
    if isinstance(tree, Tensor):
        return next(tensors)  # type: ignore[return-value]
    if not is_branch(tree):
        return tree
    new = {name: rebuilt(part, tensors) for name, part in parts(tree)}
    if isinstance(tree, Mapping):
        return dict(new)  # type: ignore[return-value]
    if isinstance(tree, (tuple, list)):
        return type(tree)(new.values())
    fields = {f.name for f in dataclasses.fields(tree)}  # type: ignore[arg-type]
    copy: Any = dataclasses.replace(tree, **{n: x for n, x in new.items() if n in fields})  # type: ignore[type-var]
    vars(copy).update({n: x for n, x in new.items() if n not in fields})
    return copy  # type: ignore[no-any-return]
