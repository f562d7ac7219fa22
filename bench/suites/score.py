"""Score models on a set in another suite's layout, under that suite's definitions alone.

The result is a file of its own, scores.json, and no record: nothing that makes hedgefox's boards reads it. A model that has
something to learn and is given by its name is trained on the set first.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ... import surrogates
from ...contracts import NEVER, MisuseError, Model, Track, Trajectory, stack
from ...contracts import track as track_named
from ...contracts.check import own_copy
from ...datasets.foreign import ForeignSet, open_set
from .. import environment
from ..entries import entry
from ..record import dumps, strict, write_text
from ..score import MAX_NODES
from . import gns, lagrangebench, meshgraphnets
from ._suite import Suite, Values

FORMAT, VERSION, FILE = "hedgefox-foreign-scores", 1, "scores.json"
SUITES = {suite.name: suite for suite in (lagrangebench.SUITE, gns.SUITE, meshgraphnets.SUITE)}
TRACK = "quick"
"""Sets the size and the training steps of models trained here when no track is named."""

Progress = Callable[[int, int], None]


def score(
    models: Sequence[str | Path | Model],
    data: str | Path,
    out: str | Path | None = None,
    *,
    split: str = "test",
    track: str | Track | None = None,
    seed: int = 0,
    limit: int | None = None,
    stride: int = 1,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score models on a foreign set; returns what is written to OUT/scores.json when `out` is given.

    A model is a Model, a folder of weights, a Python file of your own, or a name; one that learns is trained on the set's split
    `train` into OUT/weights/NAME first. `limit` takes that many rollouts of the split, from the first on; `stride` is between the
    frames that kinetic energy and Sinkhorn look at, 1 being the suite's own.

    Raises MisuseError for a folder in no layout or one whose suite scores nothing, and for an unknown model or split.
    """
    found = open_set(data)
    suite = suite_of(found)
    if split not in found.splits:
        raise MisuseError(f"{data} has no split {split!r}; one of {', '.join(found.splits)} is right")
    where = environment.require_device(device)
    chosen = track_named(track or TRACK) if isinstance(track, str | None) else track
    who = [_model(spec, found, chosen, seed, None if out is None else Path(out), where) for spec in _given(models)]
    rows = []
    for k, model in enumerate(who):
        rows.append(_row(suite, model, found, split, limit, stride, where))
        if progress is not None:
            progress(k + 1, len(who))
    made = {**_head(suite, found, split, chosen, limit, stride, where), "rows": rows}
    result: dict[str, Any] = strict(made)
    if out is not None:
        write_text(Path(out) / FILE, dumps(result) + "\n")
    return result


def suite_of(found: ForeignSet) -> Suite:
    """The suite whose definitions a set is scored by; raises MisuseError when none is."""
    if found.suite not in SUITES:
        raise MisuseError(
            f"{found.folder} is in the layout {found.layout}, which hedgefox reads but has no scores for; "
            f"those of {', '.join(SUITES)} are scored"
        )
    return SUITES[found.suite]


def _given(models: Sequence[str | Path | Model]) -> Sequence[str | Path | Model]:
    if not models:
        raise MisuseError("no model was given; name at least one")
    return models


def _head(
    suite: Suite, found: ForeignSet, split: str, track: Track, limit: int | None, stride: int, device: str
) -> dict[str, Any]:
    """All that is the same for every model."""
    ids = {suite.id(name): text for name, text in suite.definitions.items()}
    own = "" if stride == 1 else f"; here with a stride of {stride} frames, which is not the suite's own"
    return {
        "format": FORMAT,
        "version": VERSION,
        "suite": {"name": suite.name, "version": suite.version, "source": suite.source + own},
        "definitions": ids,
        "data": {"name": found.name, "layout": found.layout, "manifest": found.manifest, "notes": found.notes},
        "split": split,
        "past": found.past,
        "stride": stride,
        "limit": limit,
        "track": track.name,
        "device": device,
        "command": environment.command(),
        "versions": environment.versions(),
    }


def _model(
    spec: str | Path | Model, found: ForeignSet, track: Track, seed: int, out: Path | None, device: str
) -> Model:
    if isinstance(spec, Model):
        return spec
    name = str(spec)
    if name.endswith(".py"):
        return entry.load(Path(name), found.domain, size=track.size, device=device, seed=seed).model
    if Path(name).is_dir():
        return surrogates.load(Path(name), device)
    if name.partition("-")[0] not in surrogates.names():
        known = ", ".join(surrogates.names())
        raise MisuseError(f"unknown model {name!r}; one of {known}, a folder of weights or a Python file is right")
    if not surrogates.trainable(name):
        return surrogates.create(name, found.domain, size=track.size)
    if out is None:
        raise MisuseError(f"{name} must be trained; give a folder for its weights with `out`, or one that holds them")
    data = {found.domain: found.folder}
    return surrogates.train(name, data, track, seed=seed, out=out / "weights" / name, device=device)


def _row(
    suite: Suite, model: Model, found: ForeignSet, split: str, limit: int | None, stride: int, device: str
) -> dict[str, Any]:
    """What one model did."""
    started = time.perf_counter()
    values: list[Values] = []
    diverged, frames, steps = 0, 0, list[tuple[Values, int]]()
    for piece, answer in _rollouts(model, found, islice(found.pieces(split), limit), device):
        truth = piece.frames(found.past)
        assert answer.diverged_at is not None
        diverged += int(answer.diverged_at[0] != NEVER)
        frames = max(frames, truth.n_frames)
        values.append(suite.of_rollout(truth, _on_stage(answer, truth), stride))
    if not values:
        raise MisuseError(f"{found.path(split)} holds no trajectory")
    if suite.of_steps is not None:
        steps = [suite.of_steps(model, film.to(device)) for film in islice(found.films(split), limit)]
    ids = {suite.id(name): value for name, value in _summary(suite, values, steps).items()}
    return {
        "model": model.card.name,
        "seed": model.card.seed,
        "rollouts": len(values),
        "frames": frames,
        "diverged": diverged,
        "metrics": ids,
        "of_rollouts": {suite.id(name): [v.get(name, math.nan) for v in values] for name in values[0]},
        "seconds": time.perf_counter() - started,
        "card": model.card.to_dict(),
    }


def _summary(suite: Suite, values: list[Values], steps: list[tuple[Values, int]]) -> Values:
    """Means over rollouts, those of single steps over all values alike, and roots where the suite takes them."""
    found = {name: sum(v.get(name, math.nan) for v in values) / len(values) for name in values[0]}
    for name in steps[0][0] if steps else ():
        found[name] = sum(v[name] * n for v, n in steps) / sum(n for _, n in steps)
    return {k: math.sqrt(v) if k in suite.rooted and math.isfinite(v) else v for k, v in found.items()}


def _rollouts(
    model: Model, found: ForeignSet, pieces: Iterator[Trajectory], device: str
) -> Iterator[tuple[Trajectory, Trajectory]]:
    """Pieces and the model's continuation of their past, one scene each, rolled out in batches of bounded size."""
    for batch in _batches(pieces):
        whole = stack(batch).to(device)
        with torch.no_grad():
            answer = model.rollout(own_copy(whole.frames(0, found.past)), whole.n_frames - found.past)
        yield from zip(whole.split(), answer.with_divergence().split(), strict=True)


def _batches(pieces: Iterator[Trajectory]) -> Iterator[list[Trajectory]]:
    batch: list[Trajectory] = []
    for piece in pieces:
        nodes = sum(p.scene.n_nodes for p in batch)
        if batch and (nodes + piece.scene.n_nodes > MAX_NODES or piece.n_frames != batch[0].n_frames):
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def _on_stage(answer: Trajectory, truth: Trajectory) -> Trajectory:
    """The answer on the truth's scene; raises MisuseError when it is not one of the truth's nodes and frames."""
    if answer.position.shape != truth.position.shape:
        got, right = tuple(answer.position.shape), tuple(truth.position.shape)
        raise MisuseError(f"the model answered with positions of shape {got}; (frames, nodes, axes) = {right} is right")
    return dataclasses.replace(answer, scene=truth.scene)
