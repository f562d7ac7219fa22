"""The size law: error against parameters, and how large a generalist must be to do what specialists do.

    e(P) = a P^-b            fitted by least squares in the logarithms, over the sizes of one family in one domain
    e(P) = a P^-b + c        with at least four sizes, where it predicts the size that is left out better than the plain law does
    size ratio = P of the smallest generalist that errs no more than a specialist / parameters of that specialist

A family is a model and its other sizes, as their cards say (`size_of`), at equal data or at equal compute (`equal`); the model
itself belongs to both. The smallest generalist is read off between measured sizes by straight lines in the logarithms of both,
over those sizes alone that no smaller one betters. Nothing is extrapolated: where the largest swept size still errs more, the
figure is that size and its flag is ">"; where the smallest errs less already, that size and "<".

One generalist replaces the specialists of all domains, so the figure over all of them is the size that is enough in every one,
over the sum of their parameters. Intervals are bootstraps over scenes, the same for all contestants of a domain, and over
training seeds, of each size by itself; with one seed they say nothing of how trainings differ. An end of a ratio's interval has
the flag of the draw that it falls on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..equal_accuracy import EXACT, LESS, MORE, Bounded, pareto, time_at
from ..reduce import CONFIDENCE, DRAWS
from .by_scene import FRAME, METRIC, SPLIT, Resampled, Scenes, Who, interval, read

FEWEST, FLOORED = 2, 4
"""Sizes that a law needs, and one with a floor."""
GRID = np.linspace(0.0, 0.99, 100)
"""Floors tried, as shares of the least error."""


@dataclass(frozen=True)
class Law:
    """e(P) = scale · P^-exponent + floor."""

    scale: float
    exponent: float
    floor: float
    residual: float
    """Root mean square of log(measured / law) over the sizes."""

    def at(self, parameters: float) -> float:
        """Error at a size."""
        return float(self.scale * parameters**-self.exponent + self.floor)


def fit(parameters: Sequence[float] | np.ndarray, errors: Sequence[float] | np.ndarray) -> Law:
    """The law through some sizes: with a floor where that predicts sizes left out better, else without."""
    sizes, wrong = np.asarray(parameters, float), np.asarray(errors, float)
    if len(set(sizes.tolist())) >= FLOORED and _left_out(sizes, wrong, True) < _left_out(sizes, wrong, False):
        return _fit(sizes, wrong, True)
    return _fit(sizes, wrong, False)


def _fit(sizes: np.ndarray, wrong: np.ndarray, floored: bool) -> Law:
    scale, exponent, floor = (float(x) for x in fits(sizes, wrong, floored))
    off = np.log(wrong / (scale * sizes**-exponent + floor))
    return Law(scale, exponent, floor, float(np.sqrt(np.mean(off**2))))


def _left_out(sizes: np.ndarray, wrong: np.ndarray, floored: bool) -> float:
    """Mean square of log(measured / predicted), each size predicted from the others."""
    others = [np.arange(len(sizes)) != k for k in range(len(sizes))]
    laws = [_fit(sizes[rest], wrong[rest], floored) for rest in others]
    return float(np.mean([np.log(e / law.at(p)) ** 2 for p, e, law in zip(sizes, wrong, laws, strict=True)]))


def fits(sizes: np.ndarray, wrong: np.ndarray, floored: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale, exponent and floor of laws through errors (..., sizes), each (...).

    Floors are searched on a grid; the one with the least squares in log(measured / law) is taken.
    """
    shares = GRID if floored else GRID[:1]
    floor = shares * wrong.min(-1, keepdims=True)
    x = np.log(sizes) - np.log(sizes).mean()
    y = np.log(wrong[..., None, :] - floor[..., None])
    exponent = -(y * x).sum(-1) / (x**2).sum()
    height = y.mean(-1) + exponent * np.log(sizes).mean()
    law = np.exp(height[..., None] - exponent[..., None] * np.log(sizes)) + floor[..., None]
    best = np.square(np.log(wrong[..., None, :] / law)).sum(-1).argmin(-1)[..., None]
    picked = [np.take_along_axis(values, best, -1)[..., 0] for values in (np.exp(height), exponent, floor)]
    return picked[0], picked[1], picked[2]


# -- families ----------------------------------------------------------------------------------------------------------


def families(scenes: Scenes) -> dict[tuple[str, str, str], list[str]]:
    """By domain, model and what is equal: the model and its other sizes, the smallest first; only where there are several."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for (domain, name), card in scenes.cards.items():
        if card.size_of and (domain, name) in scenes.errors:
            found.setdefault((domain, card.size_of, card.equal), []).append(name)
    for (domain, base, _), names in found.items():
        if (domain, base) in scenes.errors:
            names.append(base)
        names.sort(key=lambda name: scenes.cards[domain, name].parameters)
    several = {key: {scenes.cards[key[0], name].parameters for name in names} for key, names in found.items()}
    return {key: names for key, names in found.items() if len(several[key]) >= FEWEST}


def survey(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Size laws and size ratios of the records under a folder: `laws` and `ratios`, empty where no model has several sizes."""
    every = read(folder)
    return {
        "laws": [row for scenes in every for row in laws(scenes)],
        "ratios": [row for scenes in every for row in ratios(scenes)],
    }


def laws(scenes: Scenes, *, seed: int = 0) -> list[dict[str, Any]]:
    """The law of every family in every domain.

    Each row: `track`, `domain`, `family`, `equal`, `metric`, `frame`, `sizes` (model, parameters, error with interval), `exponent`
    (value, low, high), `scale`, `floor` (zero where the plain law is kept), `residual` (in logarithms), `seeds`, `scenes`.
    """
    drawn = Resampled(scenes.errors, DRAWS, seed)
    return [_law_row(scenes, drawn, key, names) for key, names in families(scenes).items()]


def _law_row(scenes: Scenes, drawn: Resampled, key: tuple[str, str, str], names: Sequence[str]) -> dict[str, Any]:
    domain, family, equal = key
    who = [(domain, name) for name in names]
    sizes = np.array([scenes.cards[w].parameters for w in who], float)
    law = fit(sizes, [drawn.mean(w) for w in who])
    exponents = fits(sizes, np.stack([drawn.means(w) for w in who], -1), law.floor > 0)[1]
    shape = [scenes.errors[w].shape for w in who]
    return {
        "track": scenes.track,
        "domain": domain,
        "family": family,
        "equal": equal,
        "metric": METRIC,
        "frame": FRAME,
        "split": SPLIT,
        "sizes": [_size(scenes, drawn, w) for w in who],
        "exponent": {"value": law.exponent, **interval(exponents)},
        "scale": law.scale,
        "floor": law.floor,
        "residual": law.residual,
        "seeds": min(n for n, _ in shape),
        "scenes": min(n for _, n in shape),
    }


def _size(scenes: Scenes, drawn: Resampled, who: Who) -> dict[str, Any]:
    card = scenes.cards[who]
    error = {"value": drawn.mean(who), **interval(drawn.means(who))}
    seconds = card.training_device_seconds
    return {"model": who[1], "parameters": card.parameters, "training_device_seconds": seconds, "error": error}


# -- the size ratio ----------------------------------------------------------------------------------------------------


def smallest(parameters: Sequence[float] | np.ndarray, errors: Sequence[float] | np.ndarray, target: float) -> Bounded:
    """Parameters of the smallest size that errs no more than the target, between measured sizes; a bound beyond them."""
    found = time_at(pareto(parameters, errors), target)
    # None of the sizes matches: more than the largest is needed, also where that one is not the best of them.
    return Bounded(float(np.max(parameters)), MORE) if found.flag == MORE else found


def together(found: Sequence[Bounded]) -> Bounded:
    """The size that is enough in all domains: the largest of those needed; known as well as that one is."""
    return max(found, key=_place)


def _place(size: Bounded) -> tuple[float, int]:
    """For sorting: of equal values, a bound from above first, one from below last."""
    return size.value, (LESS, EXACT, MORE).index(size.flag)


def specialists(scenes: Scenes, domain: str) -> list[str]:
    """The specialists of a domain in their own size, trained on all of its data alone, the one with the least error first."""
    found = [
        name
        for (where, name), card in scenes.cards.items()
        if where == domain and (where, name) in scenes.errors and card.kind == "specialist"
        if not card.size_of and not card.shots and card.learned in ((), (domain,))
    ]
    return sorted(found, key=lambda name: float(scenes.errors[domain, name].mean()))


def ratios(scenes: Scenes, *, seed: int = 0) -> list[dict[str, Any]]:
    """How large each generalist must be to match specialists: one in its domain, and the best ones in all domains together.

    Each row: `track`, `generalist`, `equal`, `domain` ("all" for all together), `specialists` by domain, their `parameters` in sum,
    `size` of the smallest generalist that matches and its `ratio` to that sum, both as value, low, high, and a flag of each.
    """
    drawn, found = Resampled(scenes.errors, DRAWS, seed), families(scenes)
    swept = dict.fromkeys(key[1:] for key in found if scenes.cards[key[:2]].kind == "generalist")
    made = []
    for base, equal in swept:
        sizes = {domain: names for (domain, *family), names in found.items() if family == [base, equal]}
        rivals = {domain: specialists(scenes, domain) for domain in sizes}
        parts = [{domain: name} for domain, names in rivals.items() for name in names]
        # Less than all of them is not what one generalist replaces.
        if len(rivals) > 1 and all(rivals.values()):
            parts.append({domain: names[0] for domain, names in rivals.items()})
        made += [
            {"track": scenes.track, "generalist": base, "equal": equal, **_matched(scenes, drawn, sizes, part)}
            for part in parts
        ]
    return made


def _matched(
    scenes: Scenes, drawn: Resampled, sizes: Mapping[str, Sequence[str]], rivals: Mapping[str, str]
) -> dict[str, Any]:
    parameters = {d: [scenes.cards[d, name].parameters for name in sizes[d]] for d in rivals}
    whole = sum(scenes.cards[who].parameters for who in rivals.items())

    def needed(errors: Mapping[Who, float]) -> Bounded:
        return together(
            [smallest(parameters[d], [errors[d, n] for n in sizes[d]], errors[d, rivals[d]]) for d in rivals]
        )

    who = [(d, name) for d in rivals for name in (*sizes[d], rivals[d])]
    point = needed({w: drawn.mean(w) for w in who})
    rows = np.stack([drawn.means(w) for w in who], -1).tolist()
    low, high = ends([needed(dict(zip(who, row, strict=True))) for row in rows])
    return {
        "domain": next(iter(rivals)) if len(rivals) == 1 else "all",
        "specialists": dict(rivals),
        "parameters": whole,
        "size": _bounded(point, low, high, 1.0),
        "ratio": _bounded(point, low, high, whole),
    }


def ends(drawn: Sequence[Bounded]) -> tuple[Bounded, Bounded]:
    """Ends of an interval: quantiles, each with the flag of the draw that it falls on."""
    order, tail = sorted(drawn, key=_place), (1 - CONFIDENCE) / 2
    low, high = (order[round(share * (len(order) - 1))] for share in (tail, 1 - tail))
    return low, high


def _bounded(point: Bounded, low: Bounded, high: Bounded, over: float) -> dict[str, Any]:
    named = {"value": point, "low": low, "high": high}
    flags = {"flag": point.flag, "low_flag": low.flag, "high_flag": high.flag}
    return {name: size.value / over for name, size in named.items()} | flags
