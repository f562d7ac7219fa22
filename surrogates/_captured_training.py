"""Loss and gradients of a training step in calls of one shape: on a GPU one CUDA graph a domain instead of thousands of launches.

Inside the call windows are cut from films filled up to one size (_uniform.py), noise is drawn, the graph of fixed shape is built,
and the loss is taken and differentiated; outside remain drawing the windows' numbers, clipping and the optimiser, a few launches.
The loss is that of the plain path, sums in another order; the noise is another, since more rows draw it.

What graphs may hold is chosen by looking at some batches, with something to spare. Whether it was enough is asked wherever losses
are looked at; if not, the steps since the last look are made again in a larger room (`Mark`), so that no step that counts lacked
an edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from .. import datasets
from ..contracts import Trajectory
from . import _processes
from ._captured import Captured
from ._fixed_graph import Room
from ._uniform import Table, Uniform

if TYPE_CHECKING:
    from ._training import _Progress

TRIES = 12
"""Rooms looked at, each larger than the one before."""


@runtime_checkable
class Shaped(Protocol):
    """A model whose loss can be had in calls of one shape."""

    captured: bool | None
    """Whether to, where that can be; None: on a GPU."""

    @property
    def fixed_steps(self) -> bool:
        """Whether it can."""

    looks: int
    """Batches by which a room is chosen: one where the loss has no graph that needs it."""

    def constants(self, films: Uniform) -> dict[str, Table]:
        """What a training knows of its scenes for good, looked up once."""

    def loss_in_room(
        self, window: Trajectory, held: Mapping[str, Tensor], room: Room, generator: torch.Generator
    ) -> Tensor:
        """As `loss`, of windows cut from uniform films and what `constants` says of them; asks the device nothing."""


class Source(Protocol):
    """Where the losses of a domain and their gradients come from."""

    def add_gradients(self, parts: int) -> tuple[Tensor, Tensor]:
        """Add one of so many parts of the gradients of one batch; the numbers of its windows, and the loss."""

    def too_small(self) -> bool:
        """Whether something did not fit since the last question: there is now more room, and it has to be done again."""


def source_of(model: Any, windows: datasets.Windows, batch_size: int, generator: torch.Generator) -> Source:
    """In calls of one shape where that is wanted and can be, else kernel by kernel."""
    wanted = isinstance(model, Shaped) and (
        windows.film.device.type == "cuda" if model.captured is None else model.captured
    )
    if wanted and model.fixed_steps and not windows.film.scene.periodic and _processes.number() == 1:
        return InOneShape(model, windows, batch_size, generator)
    return Plain(model, windows, batch_size, generator)


class Plain:
    """Kernel by kernel, whatever the shapes."""

    def __init__(self, model: Any, windows: datasets.Windows, batch_size: int, generator: torch.Generator) -> None:
        self.model, self.windows, self.batch_size, self.generator = model, windows, batch_size, generator

    def draw(self) -> Tensor:
        """Numbers of windows drawn at random."""
        size, device = (self.batch_size,), self.windows.film.device
        return torch.randint(len(self.windows), size, generator=self.generator, device=device)

    def add_gradients(self, parts: int) -> tuple[Tensor, Tensor]:
        """See `Source`."""
        index = self.draw()
        loss: Tensor = self.model.loss(self.windows.at(_processes.mine(index)), self.generator)
        (loss / parts).backward()  # type: ignore[no-untyped-call]
        return index, loss.detach()

    def too_small(self) -> bool:
        """Never."""
        return False


class InOneShape(Plain):
    """See the module."""

    def __init__(self, model: Any, windows: datasets.Windows, batch_size: int, generator: torch.Generator) -> None:
        super().__init__(model, windows, batch_size, generator)
        self.films = Uniform(windows.film)
        self.tables = model.constants(self.films)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.room = self.fitting()
        self.call: Captured | None = None

    def add_gradients(self, parts: int) -> tuple[Tensor, Tensor]:
        """See `Source`."""
        index = self.draw()
        if self.call is None:
            with undrawn(self.generator):
                self.call = Captured(self.gradients, [index], [self.generator])
            self.room.used.zero_()
        loss, *found = self.call(index)
        self.add(found, parts)
        return index, loss.clone()

    def add(self, found: list[Tensor], parts: int) -> None:
        """Add gradients to those that the parameters have; the call may overwrite what it found, by then they are used."""
        held = [p.grad for p in self.parameters if p.grad is not None]
        if held:
            torch._foreach_add_(held, found, alpha=1 / parts)
            return
        for p, gradient in zip(self.parameters, found if parts == 1 else torch._foreach_div(found, parts), strict=True):
            p.grad = gradient

    def gradients(self, index: Tensor) -> Sequence[Tensor]:
        """The loss on windows of these numbers, and its gradients."""
        with torch.enable_grad():
            loss = self.loss(index, self.room)
            found = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
        return [loss.detach(), *found]

    def loss(self, index: Tensor, room: Room) -> Tensor:
        """On windows of these numbers."""
        scenes, starts = self.windows.places(index)
        window = self.films.window(scenes, starts, self.windows.length)
        loss: Tensor = self.model.loss_in_room(window, self.films.at(self.tables, scenes), room, self.generator)
        return loss

    @torch.no_grad()
    def fitting(self) -> Room:
        """A room for the graphs of some batches, with something to spare."""
        with undrawn(self.generator):
            batches = [self.draw() for _ in range(self.model.looks)]
            room = Room.for_needs(0, 0, batches[0].device)
            for _ in range(TRIES):
                for index in batches:
                    self.loss(index, room)
                if not room.exceeded():
                    break
                room = room.larger()
        return Room.for_needs(*room.needed(), batches[0].device)

    def too_small(self) -> bool:
        """See `Source`."""
        if not self.room.exceeded():
            return False
        self.room, self.call = self.room.larger(), None
        return True


@contextmanager
def undrawn(generator: torch.Generator) -> Iterator[None]:
    """Give back the random numbers that were drawn inside."""
    state = generator.get_state()
    yield
    generator.set_state(state)


class Mark:
    """A training as it was at a look."""

    def __init__(self, progress: _Progress) -> None:
        self.step, self.generator = progress.step, progress.generator.get_state()
        self.held = {name: x.clone() for name, x in _changing(progress).items()}

    def back(self, progress: _Progress) -> None:
        """Go on from here again."""
        for name, x in _changing(progress).items():
            # What the optimiser has made since begins at zero.
            x.copy_(self.held[name]) if name in self.held else x.zero_()
        progress.generator.set_state(self.generator)
        progress.step = self.step


def _changing(progress: _Progress) -> dict[str, Tensor]:
    """All that a step changes, by name."""
    entries = progress.optimiser.state_dict()["state"].items()
    momenta = {f"adam.{i}.{k}": x for i, entry in entries for k, x in entry.items()}
    return {**{k: x.detach() for k, x in progress.model.state_dict().items()}, **momenta}
