"""Which scene of a split to show, so that nobody picks by hand.

Scenes are ordered by one contestant's position RMSE, averaged over all predicted frames; of equal ones the lower number comes
first. The best scene is the first of that order, the worst the last, the median the one in the middle (of an even number, the
lower of the two). A frame after divergence counts with its capped error, as on the board.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ...contracts import MisuseError
from .. import curves, record

RULES = ("worst", "median", "best")
RULE = "mean over frames of the position RMSE; ties by scene number"
METRIC = "position_rmse@"
KINDS = ("generalist", "specialist")
"""Of each of these the best is shown."""


def standouts(ranked: Iterable[tuple[str, str, float]], rungs: Sequence[str]) -> list[str]:
    """Who is shown beside the truth: the best generalist, the best specialist, the coarsest rung, of what there is.

    `ranked` says kind, name and mean error of the scored; `rungs` are the names of the ladder from fine to coarse.
    """
    scored = sorted(ranked, key=lambda row: (row[2], row[1]))
    best = [next((name for k, name, _ in scored if k == kind), None) for kind in KINDS]
    return [name for name in best if name is not None] + list(rungs[-1:])


def pick(errors: np.ndarray, which: str) -> int:
    """The worst, median or best scene by its errors (B,); raises MisuseError where no error is a number."""
    if which not in RULES:
        raise MisuseError(f"scene {which!r} is unknown; a number or one of {', '.join(RULES)} is right")
    order = [int(b) for b in np.lexsort((np.arange(len(errors)), errors)) if np.isfinite(errors[b])]
    if not order:
        raise MisuseError("no scene has an error that is a number; name the scene by its number")
    return {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}[which]


def reason(errors: np.ndarray, number: int, which: str, split: str, model: str) -> str:
    """In words how a scene was picked."""
    return f"Scene {number}: the {which} of {len(errors)} in {split} for {model} ({RULE}; {errors[number]:.3g} m)."


def scene_errors(folder: str | Path, domain: str, split: str, model: str) -> np.ndarray:
    """Mean over frames of a contestant's position RMSE [m] on each scene of a split (B,), from a run's curves.

    Of several seeds, the lowest, which is the one shown. Raises MisuseError when the run has no such curves.
    """
    folder = Path(folder)
    names = [m["id"] for m in record.read(folder)["metrics"] if m["id"].startswith(METRIC)]
    path = folder / curves_file(folder)
    scores = curves.read(path, domain=domain, split=split, model=model, metric=names[0]) if names else []
    if not scores:
        raise MisuseError(f"{folder} has no position RMSE of {model!r} on {domain} {split}; it was not scored there")
    first = min(scores, key=lambda s: -1 if s.seed is None else s.seed)
    errors: np.ndarray = np.asarray(first.curves[names[0]]).mean(0)
    return errors


def curves_file(folder: Path) -> str:
    """Name of the file of curves that the record of a run names."""
    name: str = record.read(folder)["curves"]
    return Path(name).name
