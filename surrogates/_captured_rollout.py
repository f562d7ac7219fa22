"""Rollouts of models that go by positions, in calls of one shape: on a GPU one CUDA graph a call instead of a thousand launches.

One call is the network's: of a bundle of m frames it gives all m. The state, the scene and what is known of it lie in the buffers
of the graph; a film of other shapes gets a graph of its own, and the last few are kept.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from ..contracts import Frame, Script, Trajectory
from ._base import Learner
from ._captured import Captured, Ready, outline, rebuilt, tensors_of
from ._fixed_graph import Room

KEPT = 4
"""Graphs that a model keeps."""
TRIES = 6
"""Rooms tried, each larger than the one before; who needs more has exploded, and goes on without a graph."""


class Roomy(Protocol):
    """A state of a model whose graphs can have fixed shapes: a dataclass."""

    @property
    def room(self) -> Room | None:
        """Where graphs are to have fixed shapes: what they may hold."""

    def moving(self) -> tuple[Tensor, ...]:
        """What a step changes."""


State = TypeVar("State", bound=Roomy)


class InCalls(Learner[State]):
    """A model whose rollouts can go in calls of one shape."""

    fixed = False
    """Whether the graphs of its states keep to the room that they have."""
    captured: bool | None = None
    """Whether to go in such calls where that can be; None: on a GPU."""
    looks: int = 32
    """Batches by which a training chooses the room of its graphs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: Calls[State] = Calls()

    @abstractmethod
    def bundle_ahead(self, state: State, seen: Script, ahead: Script) -> tuple[State, list[Frame]]:
        """The state after one call of the network, m frames on, and these frames.

        `seen` is what the network is shown of the script; `ahead` are its next m frames behind the state's own.
        """

    @property
    def fixed_steps(self) -> bool:
        """Whether steps of its training can go in calls of one shape as well."""
        return self.fixed

    @property
    def per_call(self) -> int:
        """Frames that a call of the network advances, m."""
        return 1

    def seen(self, script: Script) -> Script:
        """The two frames of a script that the network is shown: by default its first two."""
        return script

    @torch.no_grad()
    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        """See `Model.rollout`."""
        wanted = past.position.is_cuda if self.captured is None else self.captured
        if wanted and self.fixed and not past.scene.periodic:
            self.check_request(past, n_frames)
            film = rollout(self, past, n_frames)
            if film is not None:
                return film
        return super().rollout(past, n_frames)


class Call(Generic[State]):
    """One call of the network and the frames that it leads to, on buffers of its own."""

    def __init__(self, model: InCalls[State], state: State, scripts: tuple[Script, Script]) -> None:
        step, tree = model.bundle_ahead, (*scripts, state)

        def function(*tensors: Tensor) -> list[Tensor]:
            seen, ahead, held = rebuilt(tree, iter(tensors))
            later, frames = step(held, seen, ahead)
            for old, new in zip(held.moving(), later.moving(), strict=True):
                old.copy_(new)
            return [torch.stack(rows) for rows in zip(*map(tensors_of, frames), strict=True)]

        self.captured = Captured(function, tensors_of(tree))
        self.of_scripts = len(tensors_of(scripts))
        self.state: State = rebuilt(state, iter(self.captured.buffers[self.of_scripts :]))

    def begin(self, state: State) -> None:
        """Write a state and its scene."""
        self.captured.fill(tensors_of(state), self.of_scripts)

    def __call__(self, seen: Script, ahead: Script) -> Sequence[Tensor]:
        """What the next m frames hold, (m, rows, …) each, in the order of `Frame`; on CUDA the next call overwrites it."""
        return self.captured(*tensors_of((seen, ahead)))


class Calls(Generic[State]):
    """Those that a model has ready, and the room that its graphs took; a copy of the model begins with none."""

    def __init__(self) -> None:
        self.ready: Ready[Call[State]] = Ready(KEPT)
        self.rooms: dict[Hashable, Room] = {}

    def __reduce__(self) -> tuple[type[Calls[State]], tuple[()]]:
        return Calls, ()

    def one(self, model: InCalls[State], state: State, scripts: tuple[Script, Script]) -> Call[State]:
        """One for such a state, which is written into it."""
        call = self.ready.for_((state, scripts), model, lambda: Call(model, state, scripts))
        call.begin(state)
        return call


def fitting(model: InCalls[State], state: State, scripts: tuple[Script, Script]) -> Room | None:
    """A room for the graphs of the first call."""
    room = Room.for_needs(0, 0, tensors_of(state)[0].device)
    for _ in range(TRIES):
        model.bundle_ahead(with_room(state, room), *scripts)
        if not room.exceeded():
            return Room.for_needs(*room.needed(), room.used.device)
        room = room.larger()
    return None


def rollout(model: InCalls[State], past: Trajectory, n_frames: int) -> Trajectory | None:
    """As `Model.rollout`, of a request that was checked; None where no room is large enough."""
    script = past.scene.script.starting_at(past.n_frames - 1)
    state = model.encode(dataclasses.replace(past, scene=past.scene.with_script(_rows(script, 0, 2))))
    scripts = _scripts(model, script, n_frames)
    known = model.calls.rooms.get(outline(state))
    room = fitting(model, state, scripts[0]) if known is None else known.emptied()
    for _ in range(TRIES):
        if room is None:
            return None
        film, room = _film(model, with_room(state, room), scripts, n_frames)
        if not room.exceeded():
            model.calls.rooms[outline(state)] = room.emptied()
            return Trajectory(past.scene.with_script(script.starting_at(1)), *film).with_divergence()
        room = room.larger()
    return None


def with_room(state: State, room: Room) -> State:
    """The same state, its graphs in a room."""
    new: State = dataclasses.replace(state, room=room)  # type: ignore[type-var]
    return new


def _scripts(model: InCalls[State], script: Script, n_frames: int) -> list[tuple[Script, Script]]:
    """Of each call: what the network is shown, and the frames ahead."""
    m = model.per_call
    longer = script.held(m)
    return [(_rows(model.seen(script.starting_at(k)), 0, 2), _rows(longer, k, m + 1)) for k in range(0, n_frames, m)]


def _film(
    model: InCalls[State], state: State, scripts: Sequence[tuple[Script, Script]], n_frames: int
) -> tuple[list[Tensor], Room]:
    """The fields of a film, (T, rows, …) each, and the room after it, which may have been exceeded."""
    m, call = model.per_call, model.calls.one(model, state, scripts[0])
    film: list[Tensor] = []
    for k, now in enumerate(scripts):
        coming = call(*now)
        film = film or [x.new_empty((m * len(scripts), *x.shape[1:])) for x in coming]
        for held, part in zip(film, coming, strict=True):
            held[k * m : (k + 1) * m] = part
    assert call.state.room is not None
    return [x[:n_frames] for x in film], call.state.room


def _rows(script: Script, first: int, number: int) -> Script:
    """Some frames of a script (a view)."""
    return script._map(lambda _, x: x[first : first + number])
