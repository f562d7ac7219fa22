r"""Are the domain's events (a spill, a slip, a topple) predicted when they happen?

An event is the onset of a label: a new frame in which it holds and the frame before did not. What already holds in the
first new frame is not to be predicted. A predicted onset is right when it lies within ±2 frames of a true one of the same
kind and scene, each used once (earliest first). F1 = 2 TP / (2 TP + FP + FN), micro-averaged over kinds, scenes and frames;
undefined while there is none to find and none was claimed. After divergence nothing is predicted any more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contracts import Domain, Trajectory
from ._common import filled, gone, of_truth

VERSION = 1
UNIT = "1"
BETTER = "higher"
DOMAINS = ("*",)
WINDOW = 2


def curve(truth: Trajectory, predicted: Trajectory, domain: Domain) -> Tensor:
    """F1 of all events up to each frame, per scene, shape (T, B)."""
    return running(parts(truth, predicted, domain))


def running(counts: dict[str, Tensor]) -> Tensor:
    """F1 of the counts up to each frame, per scene, each (T, B) → (T, B)."""
    sums = {name: values.cumsum(0) for name, values in counts.items()}
    return 2 * sums["tp"] / (2 * sums["tp"] + sums["fp"] + sums["fn"])


def parts(truth: Trajectory, predicted: Trajectory, domain: Domain) -> dict[str, Tensor]:
    """Number of true positives, false positives and false negatives at each frame and scene, each (T, B).

    Averages are F1 of these, summed. A hit and a miss count at the true onset, a false alarm at the predicted one.
    """
    true = _onsets(truth, of_truth(truth, domain, "events"))
    claimed = _onsets(predicted, domain.events(filled(predicted)))
    count = {n: torch.zeros((truth.n_frames, truth.scene.n_scenes), dtype=torch.float64) for n in ("tp", "fp", "fn")}
    for name in true:
        for b in range(truth.scene.n_scenes):
            _match(true[name][:, b].tolist(), claimed[name][:, b].tolist(), count, b)
    lost = gone(truth).cpu()
    return {name: values.masked_fill(lost, 0.0) for name, values in count.items()}


def _onsets(film: Trajectory, events: dict[str, Tensor]) -> dict[str, Tensor]:
    """True where a label begins to hold, each (T, B), on the CPU."""
    alive = ~gone(film).cpu()
    labels = {name: values.cpu() for name, values in events.items()}
    before = {name: torch.cat([values[:1], values[:-1]]) for name, values in labels.items()}
    return {name: values & ~before[name] & alive for name, values in labels.items()}


def _match(true: list[bool], claimed: list[bool], count: dict[str, Tensor], scene: int) -> None:
    """Pair onsets in time order; with windows of one width the earliest-first pairing finds the most pairs."""
    open_claims = [t for t, holds in enumerate(claimed) if holds]
    for t in (t for t, holds in enumerate(true) if holds):
        while open_claims and open_claims[0] < t - WINDOW:
            count["fp"][open_claims.pop(0), scene] += 1
        hit = bool(open_claims) and open_claims[0] <= t + WINDOW
        if hit:
            open_claims.pop(0)
        count["tp" if hit else "fn"][t, scene] += 1
    for t in open_claims:
        count["fp"][t, scene] += 1
