"""Rollouts of models that go by positions, in calls of one shape: on a GPU one CUDA graph a call instead of a thousand launches.

One call is the network's: of a bundle of m frames it gives all m. The state, the scene and what is known of it lie in the buffers
of the graph; a film of other shapes gets a graph of its own, and the last few are kept.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..contracts import Script, Trajectory
from ._captured import Captured, outline, rebuilt, tensors_of
from ._features import History
from ._fixed_graph import Room

if TYPE_CHECKING:
    from ._one_step import OneStep

KEPT = 4
"""Graphs that a model keeps."""
TRIES = 6
"""Rooms tried, each larger than the one before; who needs more has exploded, and goes on without a graph."""


class Call:
    """One call of the network and the frames that it leads to, on buffers of its own."""

    def __init__(self, model: OneStep, state: History, scripts: tuple[Script, Script]) -> None:
        step, tree = model.bundle_ahead, (*scripts, state)

        def function(*tensors: Tensor) -> tuple[Tensor, Tensor]:
            seen, ahead, held = rebuilt(tree, iter(tensors))
            later, position, velocity = step(held, seen, ahead)
            held.position.copy_(later.position)
            return position, velocity

        self.captured = Captured(function, tensors_of(tree))
        self.of_scripts = len(tensors_of(scripts))
        self.state = rebuilt(state, iter(self.captured.buffers[self.of_scripts :]))

    def begin(self, state: History) -> None:
        """Write a state and its scene."""
        self.captured.fill(tensors_of(state), self.of_scripts)

    def __call__(self, seen: Script, ahead: Script) -> tuple[Tensor, Tensor]:
        """Positions and velocities of the next m frames, (m, N, D) each; on CUDA the next call overwrites them."""
        position, velocity = self.captured(*tensors_of((seen, ahead)))
        return position, velocity


class Calls:
    """Those that a model has ready, and the room that its graphs took; a copy of the model begins with none."""

    def __init__(self) -> None:
        self.ready: OrderedDict[Hashable, Call] = OrderedDict()
        self.rooms: dict[Hashable, Room] = {}

    def __reduce__(self) -> tuple[type[Calls], tuple[()]]:
        return Calls, ()

    def one(self, model: OneStep, state: History, scripts: tuple[Script, Script]) -> Call:
        """One for such a state, which is written into it."""
        key = (outline((state, scripts)), tuple(x.data_ptr() for x in (*model.parameters(), *model.buffers())))
        call = self.ready.pop(key, None) or Call(model, state, scripts)
        self.ready[key] = call
        if len(self.ready) > KEPT:
            self.ready.popitem(last=False)
        call.begin(state)
        return call

    def room(self, model: OneStep, state: History) -> Room | None:
        """What a film's graphs are given: what such films took before, else what its first graph needs; None for too much."""
        known = self.rooms.get(outline(state))
        return fitting(model, state) if known is None else known.emptied()


def fitting(model: OneStep, state: History) -> Room | None:
    """A room for the graph of a state."""
    room = Room.for_needs(0, 0, state.position.device)
    for _ in range(TRIES):
        model.near(dataclasses.replace(state, room=room))
        if not room.exceeded():
            return Room.for_needs(*room.needed(), room.used.device)
        room = room.larger()
    return None


def rollout(model: OneStep, calls: Calls, past: Trajectory, n_frames: int) -> Trajectory | None:
    """As `Model.rollout`, of a request that was checked; None where no room is large enough."""
    script = past.scene.script.starting_at(past.n_frames - 1)
    state = model.encode(dataclasses.replace(past, scene=past.scene.with_script(_rows(script, 0, 2))))
    room = calls.room(model, state)
    for _ in range(TRIES):
        if room is None:
            return None
        film, room = _film(model, calls, dataclasses.replace(state, room=room), script, n_frames)
        if not room.exceeded():
            calls.rooms[outline(state)] = room.emptied()
            return Trajectory(past.scene.with_script(script.starting_at(1)), *film).with_divergence()
        room = room.larger()
    return None


def _film(
    model: OneStep, calls: Calls, state: History, script: Script, n_frames: int
) -> tuple[tuple[Tensor, Tensor], Room]:
    """Positions and velocities (T, N, D), and the room after them, which may have been exceeded."""
    m = model.common.bundle
    longer = _held_beyond(script, m)
    scripts = [(_rows(model.seen(script.starting_at(k)), 0, 2), _rows(longer, k, m + 1)) for k in range(0, n_frames, m)]
    call = calls.one(model, state, scripts[0])
    film = [state.position.new_empty((m * len(scripts), *state.position.shape[1:])) for _ in range(2)]
    for k, now in enumerate(scripts):
        for held, coming in zip(film, call(*now), strict=True):
            held[k * m : (k + 1) * m] = coming
    assert call.state.room is not None
    return (film[0][:n_frames], film[1][:n_frames]), call.state.room


def _rows(script: Script, first: int, number: int) -> Script:
    """Some frames of a script (a view)."""
    return script._map(lambda _, x: x[first : first + number])


def _held_beyond(script: Script, frames: int) -> Script:
    """A script that stands still for so many frames more."""
    return script._map(lambda _, x: torch.cat([x, x[-1:].expand(frames, -1, -1)]))
