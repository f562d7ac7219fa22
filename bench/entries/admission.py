"""What a user's own model has to pass before it is scored or timed, and what a failure means, in full sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ...contracts import CheckFailed, Domain, MisuseError, Model, ModelCard, Recipe, Trajectory, check_model, stack
from ...contracts.check import ContractBroken, own_copy
from ..contestants import Contestant
from .entry import said, where
from .honesty import require_honest

SCENES = 3
"""Scenes that a model is checked on."""

EXPLAINED = {
    "shape": "An answer holds exactly the frames asked for, of the same nodes, on the scene of its past with its "
    "script cut to the new frames, and says in diverged_at where it ceased to be finite. Usually frames "
    "of the past were returned too, or the Trajectory was put together by hand. End with "
    "hedgefox.contracts.from_frames(scene, frames), or derive from hedgefox.Stepper, which does.",
    "inputs_untouched": "The past belongs to the harness, and other models see it after yours. Usually a tensor of it was "
    "changed in place (+=, x[...] =, or a method that ends in _). Work on a copy: x = x.clone().",
    "deterministic": "Two equal calls must give the same bits, or nobody can repeat your result. Usually dropout is on, "
    "noise is drawn without a generator of its own, or a counter lives on. Call eval(), and seed a "
    "torch.Generator inside rollout.",
    "no_peeking": "Only the last `history` frames of the past may matter. Usually the card's history is smaller than "
    "what the model reads, or it reaches frames behind the past through shared memory. State the history "
    "that it reads, and index the past alone.",
    "batch_order": "Scenes in another order must give the same films in that order. Usually something is found by a "
    "scene's number in the batch, or scenes meet in one reshape. Use scene.node_scene to tell whose a "
    "node is.",
    "batch_independent": "A scene's film must not depend on the scenes beside it. Usually a mean, a normalisation or a "
    "neighbour search runs over the whole batch. Do it scene by scene: scene.node_scene gives each "
    "node's.",
    "node_order": "Nodes in another order must give the same film in that order. Usually nodes are told apart by their "
    "place in the tensor, or neighbours are cut off at a number. A Gauss-Seidel solver of kind baseline "
    'or hybrid may say EXEMPT = ("node_order",) in its file.',
    "driven_follow_script": "Driven nodes are where the script says, exactly. Usually they were moved like the others. Finish "
    "each frame with hedgefox.contracts.model.place_driven(frame, scene, script).",
    "finite_or_said": "A scene that ceases to be finite must say so and leave its neighbours in the batch alone. Usually "
    "NaN is replaced by numbers (nan_to_num, clamp), or spreads through a sum over the batch. Let it be "
    "NaN: from_frames finds it.",
}
"""By check of `check_model`: what it means, what usually causes a failure, what to do."""

DISHONEST = (
    "A model must compute its answer from the past that it is given, and nothing else. This is what a model does that"
    " looks its answers up in stored films, that does not look at its past, or that remembers earlier calls. Remove "
    "what is stored, and try again."
)


def require_admissible(contestant: Contestant, film: Trajectory, recipe: Recipe) -> None:
    """Check a user's own model, or any that came as an object, on films that it will see the like of; others are left as they are.

    film (T, N, D): `recipe.past` frames at least and one more, its script covering the horizon. Raises CheckFailed, which says
    which check, what it means, what usually causes it and what to do; MisuseError when the model reads more frames than there are.
    """
    origin = contestant.origin
    if origin is None:
        return
    if contestant.model.card.history > recipe.past:
        raise MisuseError(
            f"{origin}: the card states a history of {contestant.model.card.history} frames; "
            f"models see {recipe.past} on this track"
        )
    watched = _Watched(contestant.model, origin)
    few = film.select([k % film.scene.n_scenes for k in range(SCENES)])
    seen, horizon = own_copy(few.frames(0, recipe.past)), few.scene.script.n_frames - recipe.past
    try:
        check_model(watched, few.frames(0, recipe.past + 1), exempt=contestant.exempt)
    except ContractBroken as error:
        raise CheckFailed(f"{origin}: {error}. {EXPLAINED[error.check]}") from error
    try:
        require_honest(watched, seen, min(horizon, recipe.horizon))
    except Raised:
        raise
    except CheckFailed as error:
        raise CheckFailed(f"{origin}: {error}. {DISHONEST}") from error


class Raised(CheckFailed):
    """A model raised something of its own while it was checked."""


class _Watched(Model):
    """A model whose errors say where in the user's file they arose."""

    def __init__(self, model: Model, source: Path) -> None:
        self.model, self.source = model, source

    @property
    def card(self) -> ModelCard:
        return self.model.card

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        with (
            _told(self.source, f"{n_frames} frames of {past.scene.n_scenes} scenes of {past.scene.domain}"),
            torch.no_grad(),
        ):
            return self.model.rollout(past, n_frames)


@contextmanager
def _told(source: Path, asked: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise Raised(
            f"{where(error, source)}: {said(error)} (in rollout, asked for {asked}). The model is checked before it is measured, "
            "on a few scenes in several orders and sizes, once with a NaN in one and once in a state that no file holds; it must "
            "answer each. --debug shows the traceback"
        ) from error


def films_on_the_spot(domain: Domain, recipe: Recipe, root_seed: int, device: str) -> Trajectory:
    """Films for a check without data: the first test scenes, the frames that models see and one more, by the reference."""
    start = stack([domain.sample_start(recipe, "test", k, root_seed) for k in range(SCENES)]).to(device)
    with torch.no_grad():
        later = domain.reference(recipe, device).rollout(start, recipe.past)
    return start.followed_by(later)
