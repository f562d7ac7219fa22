"""check_model: the contract of a Model as code. It runs in tests over every model file found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from .errors import CheckFailed, MisuseError
from .model import Model
from .scene import POINTS_INTO, Scene
from .trajectory import NEVER, Trajectory

TOLERANCE = 1e-4
"""Allowed difference between two ways to ask for one frame, as a share of the box diagonal: float32 sums in another order."""


def check_model(model: Model, film: Trajectory, *, n_frames: int = 2, exempt: tuple[str, ...] = ()) -> list[str]:
    """Prove that a model keeps its contract, on a film of at least two scenes; returns the names of the checks that held.

    The film must hold at least `card.history + 1` frames: the last frame serves as the future that must not be seen, all
    before it are the past. Its script must cover the past and `n_frames` more. `exempt` names checks to leave out, such
    as "node_order" for a Gauss-Seidel solver.

    Raises CheckFailed (a ContractBroken) with the name of the first check that does not hold and by how much, MisuseError
    when the film cannot serve. What the model itself raises passes through.
    """
    history = model.card.history
    if film.n_frames < history + 1:
        raise MisuseError(f"the film has {film.n_frames} frames; {model.card.name} needs {history + 1} for its check")
    if film.scene.n_scenes < 2:
        raise MisuseError("the film has 1 scene; batch independence needs at least 2")
    unknown = sorted(set(exempt) - set(CHECKS))
    if unknown:
        raise MisuseError(f"no check is named {unknown[0]!r}; known are {', '.join(CHECKS)}")
    case = _Case(model, film, n_frames)
    held = [name for name in CHECKS if name not in exempt]
    for name in held:
        CHECKS[name](case)
    return held


class ContractBroken(CheckFailed):
    """A check of `check_model` that did not hold, and which."""

    def __init__(self, model: str, check: str, why: str) -> None:
        super().__init__(f"{model} fails the check {check!r}: {why}")
        self.check = check


class _Case:
    """A model, the past it is given, and its plain answer."""

    def __init__(self, model: Model, film: Trajectory, n_frames: int) -> None:
        self.model, self.film, self.n_frames = model, film, n_frames
        self.past = own_copy(film.frames(0, film.n_frames - 1))
        self.answer = self.ask(self.past)

    def ask(self, past: Trajectory, n_frames: int | None = None) -> Trajectory:
        return self.model.rollout(past, self.n_frames if n_frames is None else n_frames)

    def require(self, name: str, holds: bool, why: str) -> None:
        if not holds:
            raise ContractBroken(self.model.card.name, name, why)

    def require_same(self, name: str, got: Trajectory, expected: Trajectory, tolerance: float = TOLERANCE) -> None:
        """One frame equal within the tolerance; later frames of a chaotic film may part."""
        for fields in ("position", "velocity"):
            a, b = getattr(got, fields)[0], getattr(expected, fields)[0]
            scale = expected.scene.diagonal[expected.scene.node_scene].unsqueeze(-1)
            if fields == "velocity":
                scale = scale / expected.scene.frame_interval
            both_gone = torch.isnan(a) & torch.isnan(b)
            worst = float(torch.where(both_gone, 0.0, (a - b).abs() / scale).nan_to_num(nan=torch.inf).max())
            self.require(
                name, worst <= tolerance, f"{fields} differ by {worst:.2e} of the box (at most {tolerance:.0e})"
            )


def own_copy(past: Trajectory) -> Trajectory:
    """A copy that shares no memory with the film it was cut from, so that later frames cannot be reached through it."""
    scene = past.scene.map_tensors(torch.clone)
    return dataclasses.replace(past._map(lambda _, x: x.clone(), scene), diverged_at=None)


def _shape(case: _Case) -> None:
    answer, past = case.answer, case.past
    case.require("shape", isinstance(answer, Trajectory), f"rollout returned a {type(answer).__name__}, no Trajectory")
    case.require("shape", answer.n_frames == case.n_frames, f"{answer.n_frames} frames for {case.n_frames} asked")
    case.require("shape", answer.scene.n_nodes == past.scene.n_nodes, "the answer has another number of nodes")
    left, right = past.scene.script.n_frames - past.n_frames, answer.scene.script.n_frames
    case.require("shape", left == right, f"the answer's script covers {right} frames; {left} are left")
    case.require("shape", answer.diverged_at is not None, "diverged_at is missing")


def _inputs_untouched(case: _Case) -> None:
    fresh = own_copy(case.film.frames(0, case.film.n_frames - 1))
    same = torch.equal(case.past.position, fresh.position) and torch.equal(case.past.velocity, fresh.velocity)
    case.require("inputs_untouched", same, "the past was written to")


def _deterministic(case: _Case) -> None:
    again = case.ask(case.past)
    same = torch.equal(again.position.nan_to_num(), case.answer.position.nan_to_num())
    case.require("deterministic", same, "two equal calls gave different films")


def _no_peeking(case: _Case) -> None:
    """Later frames in the same memory, and frames older than the history, must not matter."""
    noise = torch.Generator().manual_seed(7)
    film = own_copy(case.film)
    film.position[-1] += torch.rand(film.position[-1].shape, generator=noise).to(film.device)
    film.velocity[-1] += 1.0
    case.require_same("no_peeking", case.ask(film.frames(0, film.n_frames - 1)), case.answer)
    old = case.past.n_frames - case.model.card.history
    if old > 0:
        past = own_copy(case.past)
        past.position[:old] += torch.rand(past.position[:old].shape, generator=noise).to(film.device)
        past.velocity[:old] -= 1.0
        case.require_same("no_peeking", case.ask(past), case.answer)


def _batch_order(case: _Case) -> None:
    order = list(reversed(range(case.past.scene.n_scenes)))
    case.require_same("batch_order", case.ask(case.past.select(order)), case.answer.select(order))


def _batch_independent(case: _Case) -> None:
    for b in range(case.past.scene.n_scenes):
        case.require_same("batch_independent", case.ask(case.past.select([b])), case.answer.select([b]))


def _node_order(case: _Case) -> None:
    order = _shuffled_within_scenes(case.past.scene)
    got = case.ask(_reorder(case.past, order))
    expected = dataclasses.replace(
        case.answer, **{n: getattr(case.answer, n)[:, order] for n in ("position", "velocity")}
    )
    case.require_same("node_order", got, expected)


def _shuffled_within_scenes(scene: Scene) -> Tensor:
    """A permutation of the nodes that keeps every node in its scene and the driven nodes in their order."""
    key = torch.rand(scene.n_nodes, generator=torch.Generator().manual_seed(3)).to(scene.device)
    order = torch.argsort(scene.node_scene + 0.99 * key.to(torch.float64))
    moved_driven = torch.nonzero(~scene.free[order]).flatten()
    order[moved_driven] = scene.driven_nodes
    return order


def _reorder(past: Trajectory, order: Tensor) -> Trajectory:
    """Renumber the nodes: new node k is old node order[k]."""
    place = torch.empty_like(order)
    place[order] = torch.arange(order.numel(), device=order.device)
    scene = past.scene
    new = {n: getattr(scene, n)[order] for n in ("node_type", "mass", "rest_position", "body_id")}
    new |= {n: place[getattr(scene, n)] for n, group in POINTS_INTO.items() if group == "node"}
    moved = past._map(lambda n, x: x[:, order] if n in ("position", "velocity") else x)
    return dataclasses.replace(moved, scene=dataclasses.replace(scene, **new))


def _driven_follow_script(case: _Case) -> None:
    driven = case.past.scene.driven_nodes
    now = case.past.n_frames
    expected = case.past.scene.script.node_position[now : now + case.n_frames]
    got = case.answer.position[:, driven]
    # What is not finite is the business of another check.
    worst = float((got - expected).abs().nan_to_num(nan=0.0).max()) if driven.numel() else 0.0
    case.require("driven_follow_script", worst <= 1e-6, f"a driven node is {worst:.2e} m off its script")


def _finite_or_said(case: _Case) -> None:
    """A scene with a NaN in its past must be reported as diverged; its neighbours in the batch must not notice."""
    case.require("finite_or_said", _honest(case.answer), "a film is not finite and diverged_at does not say so")
    past = own_copy(case.past)
    past.position[:, 0] = torch.nan
    past.velocity[:, 0] = torch.nan
    got = case.ask(past)
    if bool(past.scene.free[0]):
        assert got.diverged_at is not None
        case.require("finite_or_said", int(got.diverged_at[0]) != NEVER, "a NaN start is not reported as diverged")
    case.require("finite_or_said", _honest(got), "a film is not finite and diverged_at does not say so")
    others = list(range(1, past.scene.n_scenes))
    case.require_same("finite_or_said", got.select(others), case.answer.select(others))


def _honest(film: Trajectory) -> bool:
    assert film.diverged_at is not None
    at = film.diverged_at[film.scene.node_scene]
    frame = torch.arange(film.n_frames, device=film.device).unsqueeze(1)
    alive = (at == NEVER) | (frame < at)
    finite = torch.isfinite(film.position).all(-1) & torch.isfinite(film.velocity).all(-1)
    return bool((finite == alive).all())


CHECKS: dict[str, Callable[[_Case], None]] = {
    "shape": _shape,
    "inputs_untouched": _inputs_untouched,
    "deterministic": _deterministic,
    "no_peeking": _no_peeking,
    "batch_order": _batch_order,
    "batch_independent": _batch_independent,
    "node_order": _node_order,
    "driven_follow_script": _driven_follow_script,
    "finite_or_said": _finite_or_said,
}
