"""Accuracy: every contestant continues the same few frames, and every metric becomes a curve per frame and scene.

The truth after the cut is the reference restarted from the same frames that every model sees, made once a split and shared.
Nothing is dropped: a diverged scene keeps its capped error, and a contestant that raises is a recorded failure.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ..contracts import Domain, MisuseError, Model, Recipe, Trajectory, stack
from ..contracts.check import own_copy
from ..contracts.model import Reconstructs
from ._metric import Metric, metrics_for
from .contestants import Contestant
from .entries.predictions import Predictions

MAX_NODES = 20_000
"""Nodes rolled out at once: memory stays bounded whatever the split holds."""


@dataclass(frozen=True)
class Case:
    """One split cut into what the models see and what they must say."""

    domain: Domain
    split: str
    past: Trajectory
    truth: Trajectory

    @property
    def batches(self) -> Iterator[list[int]]:
        """Scene numbers in batches of bounded size."""
        sizes = (self.past.scene.scene_ptr[1:] - self.past.scene.scene_ptr[:-1]).tolist()
        return _batches(sizes)


@dataclass(frozen=True)
class Score:
    """What one contestant did on one split."""

    domain: str
    split: str
    model: str
    seed: int | None
    curves: dict[str, np.ndarray] = field(default_factory=dict)
    """Curves (T, B) in float64 by metric id; counts under "id/part". Empty when the contestant failed."""
    diverged_at: np.ndarray | None = None
    """First frame that is not finite, or -1, of each scene, shape (B,)."""
    seconds: float = 0.0
    failure: str | None = None


def prepare(
    domain: Domain, split: str, film: Trajectory, recipe: Recipe, *, device: str = "cpu", reference: Model | None = None
) -> Case:
    """Cut a split's films (T, N, D) after the past and let the reference continue them, once for all contestants.

    Raises MisuseError when the films are not of this recipe.
    """
    expected = recipe.n_frames(split)
    if film.n_frames != expected:
        raise MisuseError(
            f"the films of split {split!r} have {film.n_frames} frames; {expected} is right on this track"
        )
    past = own_copy(film.frames(0, recipe.past).to(device))
    solver = reference or domain.reference(recipe, device)
    sizes = (past.scene.scene_ptr[1:] - past.scene.scene_ptr[:-1]).tolist()
    truth = _in_batches(solver, past, expected - recipe.past, _batches(sizes))
    return Case(domain, split, past, truth)


def score_case(
    case: Case,
    contestants: Sequence[Contestant],
    *,
    metrics: Sequence[Metric] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """Score contestants on one split, one after the other; a failure of one is in its Score and stops nobody else."""
    chosen = metrics_for(case.domain.name) if metrics is None else metrics
    scores = []
    for k, contestant in enumerate(contestants):
        scores.append(_score_one(case, contestant, chosen))
        if progress is not None:
            progress(k + 1, len(contestants))
    return scores


def _score_one(case: Case, contestant: Contestant, metrics: Sequence[Metric]) -> Score:
    blank = Score(case.domain.name, case.split, contestant.name, contestant.seed)
    started = time.perf_counter()
    try:
        answer = answer_of(case, contestant.model, entered=contestant.origin is not None)
        judged = {"rollout": answer}
        if isinstance(contestant.model, Reconstructs) and any(m.judges == "reconstruction" for m in metrics):
            judged["reconstruction"] = reconstruction_of(case, contestant.model)
        held = [m for m in metrics if m.judges in judged]
        found = [m.evaluate(case.truth, judged[m.judges], case.domain) for m in held]
        # Seven digits are more than any error has, and half the bytes of a stored curve.
        curves = {k: v.astype(np.float32).astype(np.float64) for each in found for k, v in each.items()}
    except Exception as error:  # whatever a contestant raises is its result
        return dataclasses.replace(
            blank, failure=f"{type(error).__name__}: {error}", seconds=time.perf_counter() - started
        )
    assert answer.diverged_at is not None
    seconds = time.perf_counter() - started
    return dataclasses.replace(blank, curves=curves, diverged_at=answer.diverged_at.cpu().numpy(), seconds=seconds)


def answer_of(case: Case, model: Model, *, entered: bool = False) -> Trajectory:
    """The model's continuation of a case, judged on the scene of the truth and not on what the model made of it.

    The reference is not run twice: its answer is the truth by definition. That holds for hedgefox's own alone: what users `entered`
    is rolled out, whatever its card says by now.
    """
    if model.card.kind == "reference" and not entered:
        return case.truth.with_divergence()
    if isinstance(model, Predictions):
        return _on_stage(_merge_divergence(model.answer(case.split, case.truth)), case)
    return rolled(case, model)


def rolled(case: Case, model: Model) -> Trajectory:
    """As `answer_of`, whoever the model is."""
    return _on_stage(_in_batches(model, case.past, case.truth.n_frames, case.batches), case)


def reconstruction_of(case: Case, model: Reconstructs) -> Trajectory:
    """What the model makes of the true frames of a case without its dynamics, in the batches of a rollout."""
    return _on_stage(_gathered(case.past, case.truth.n_frames, case.batches, _reconstructed(case, model)), case)


def _on_stage(answer: Trajectory, case: Case) -> Trajectory:
    """An answer on the scene of the truth, where its nodes are the truth's."""
    if answer.scene.n_nodes != case.truth.scene.n_nodes:
        return answer
    return dataclasses.replace(answer, scene=case.truth.scene)


def _reconstructed(case: Case, model: Reconstructs) -> Callable[[Trajectory, list[int]], Trajectory]:
    return lambda seen, scenes: model.reconstruct(seen, own_copy(case.truth.select(scenes)))


def _in_batches(model: Model, past: Trajectory, n_frames: int, batches: Iterator[list[int]]) -> Trajectory:
    return _gathered(past, n_frames, batches, lambda seen, scenes: model.rollout(seen, n_frames))


def _gathered(
    past: Trajectory,
    n_frames: int,
    batches: Iterator[list[int]],
    answering: Callable[[Trajectory, list[int]], Trajectory],
) -> Trajectory:
    """What is answered to the past of each batch of scenes, given as a copy and by number, as one film."""
    parts = []
    for scenes in batches:
        seen = own_copy(past.select(scenes))
        with torch.no_grad():
            answer = answering(seen, scenes)
        _require_answer(answer, seen, n_frames)
        # Whatever the model says of itself, divergence is found by one rule for all.
        parts.append(_merge_divergence(answer))
    return stack(parts)


def _require_answer(answer: Trajectory, past: Trajectory, n_frames: int) -> None:
    if answer.n_frames != n_frames:
        raise MisuseError(f"the model answered with {answer.n_frames} frames; {n_frames} were asked for")
    if answer.scene.n_scenes != past.scene.n_scenes:
        raise MisuseError(f"the model answered with {answer.scene.n_scenes} scenes for {past.scene.n_scenes}")


def _merge_divergence(answer: Trajectory) -> Trajectory:
    """Divergence as the frames show it, or as the model admits it, whichever is earlier."""
    found = answer.with_divergence()
    if answer.diverged_at is None:
        return found
    assert found.diverged_at is not None
    never = answer.n_frames
    said, seen = (torch.where(x >= 0, x, never) for x in (answer.diverged_at, found.diverged_at))
    first = torch.minimum(said, seen)
    return dataclasses.replace(found, diverged_at=torch.where(first < never, first, -1))


def _batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    nodes = 0
    for scene, size in enumerate(sizes):
        if batch and nodes + size > MAX_NODES:
            yield batch
            batch, nodes = [], 0
        batch.append(scene)
        nodes += size
    if batch:
        yield batch
