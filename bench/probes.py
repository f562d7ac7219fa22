"""What frozen features know: linear probes on the features that a model offers, each kind of them on the same footing.

For every moment a vector is made of what the model sees (latent tokens, those of the same encoder as it was drawn, the raw
state), and one ridge regression a quantity says how much of it can be read off:

    min_w |y - X w|² + λ |w|²,     R² = 1 - Σ(y - ŷ)² / Σ(y - ȳ)²     on the split `test`

fitted on `train`, λ chosen on `valid`. Material parameters are withheld: in the film that features are made of, each is the same
in all scenes, so that what is read off them was inferred from motion. Intervals are bootstraps over test scenes, whose moments
are not independent samples. An R² below zero is worse than the mean of the test scenes; it is reported as it is. A random encoder
is a strong baseline: what training adds is the difference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..contracts import Domain, Trajectory
from ..contracts._ragged import group_sum
from ..contracts.boundary import obstacle_distance, side_distance
from .reduce import CONFIDENCE, DRAWS, Estimate

MOMENTS = 6
"""Moments of a trajectory that probes see, spread evenly."""
TRAIN_SCENES = 48
"""Scenes of `train` that probes are fitted on, at most."""
RIDGES = tuple(10.0**k for k in range(-3, 6))
NEAR = 0.05
"""A node is near a solid within this share of half the box's diagonal."""
STILL = 1e-9
"""A quantity that spreads by less, as a share of its size, does not vary."""

Features = Callable[[Trajectory, int], Tensor]
"""Of a film at a frame: a vector a scene, (B, F)."""


@dataclass(frozen=True)
class Samples:
    """Vectors and quantities of some moments of some scenes."""

    features: np.ndarray
    """(n, F)."""
    quantities: dict[str, np.ndarray]
    """(n, d) each; NaN where not known."""
    scene: np.ndarray
    """(n,)."""

    def known(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features, one quantity and scenes where that quantity is known."""
        y = self.quantities[name]
        rows = np.isfinite(y).all(1)
        return self.features[rows], y[rows], self.scene[rows]


def probe_all(
    films: Mapping[str, Trajectory], domain: Domain, features: Mapping[str, Features], first: int
) -> list[dict[str, Any]]:
    """Rows {quantity, features, r2} for every quantity and kind of features.

    `films` are train, valid and test, whole; `first` is the first frame that features can be asked of.
    """
    frames = {split: moments(film, first) for split, film in films.items()}
    logged = _positive(films, domain)
    asked = {split: quantities(film, domain, frames[split], logged) for split, film in films.items()}
    hidden = {split: _withheld(film, films["train"]) for split, film in films.items()}
    rows = []
    for kind, of in features.items():
        held = {split: sample(hidden[split], of, frames[split], asked[split]) for split in films}
        for name in asked["train"]:
            found = probe(held["train"], held["valid"], held["test"], name)
            rows.append({"quantity": name, "features": kind, "r2": None if found is None else found.to_dict()})
    return rows


def moments(film: Trajectory, first: int) -> list[int]:
    """The frames of a film that probes look at, from `first` on."""
    frames: list[int] = np.linspace(first, film.n_frames - 1, MOMENTS).astype(int).tolist()
    return sorted(set(frames))


# -- what is asked -----------------------------------------------------------------------------------------------------


def quantities(film: Trajectory, domain: Domain, frames: list[int], logged: Collection[str] = ()) -> dict[str, Tensor]:
    """What probes ask for at some frames, by name, each (frames, B, d): of matter, energy, contact, hidden parameters, events.

    Parameters in `logged` are asked for as logarithms.
    """
    found = {
        "centre of mass": _mean(film, film.position[frames]),
        "mean velocity": _mean(film, film.velocity[frames]),
    }
    energies = {n.split(" [")[0]: v for n, v in domain.invariants(film).items() if "energy" in n}
    found |= {name: values[frames].double().unsqueeze(-1) for name, values in energies.items()}
    found["contact"] = _near_solids(film, frames).unsqueeze(-1)
    for name in (n for n in domain.parameter_units if n in film.scene.parameters):
        values = film.scene.parameters[name].double()
        found[name] = (values.log() if name in logged else values).expand(len(frames), -1).unsqueeze(-1)
    events = domain.events(film)
    return found | {f"event: {name}": v[frames].double().unsqueeze(-1) for name, v in events.items()}


def _mean(film: Trajectory, values: Tensor) -> Tensor:
    """Mean over the free mass of each scene, (t, N, D) → (t, B, D)."""
    scene = film.scene
    mass = torch.where(scene.free, scene.mass.double(), 0.0)
    total = group_sum(mass, scene.scene_ptr)
    return (group_sum(values.double().movedim(1, -1) * mass, scene.scene_ptr) / total).movedim(-1, 1)


def _near_solids(film: Trajectory, frames: list[int]) -> Tensor:
    """Share of each scene's free nodes that are near a side or an obstacle, (frames, B)."""
    scene, shares = film.scene, []
    reach = NEAR * scene.diagonal[scene.node_scene] / 2
    number = group_sum(scene.free.double(), scene.scene_ptr)
    for t in frames:
        sides = side_distance(scene, film.position[t], scene.script.box_offset[t]).flatten(1).amin(-1)
        solids = obstacle_distance(scene, film.position[t], scene.script.obstacle_position[t])[0]
        near = (torch.minimum(sides, solids) < reach) & scene.free
        shares.append(group_sum(near.double(), scene.scene_ptr) / number)
    return torch.stack(shares)


def _positive(films: Mapping[str, Trajectory], domain: Domain) -> set[str]:
    """The parameters that are positive in every film: they spread over scales, so that their logarithm is asked for."""
    known = [n for n in domain.parameter_units if all(n in film.scene.parameters for film in films.values())]
    return {n for n in known if all(bool((film.scene.parameters[n] > 0).all()) for film in films.values())}


# -- what it is asked of -----------------------------------------------------------------------------------------------


def _withheld(film: Trajectory, train: Trajectory) -> Trajectory:
    """The film with each material parameter the same in all scenes, the mean of those of `train`."""
    held = {n: torch.full_like(v, float(train.scene.parameters[n].mean())) for n, v in film.scene.parameters.items()}
    return dataclasses.replace(film, scene=dataclasses.replace(film.scene, parameters=held))


def sample(film: Trajectory, features: Features, frames: list[int], asked: Mapping[str, Tensor]) -> Samples:
    """Features of a film at some frames beside the quantities there."""
    with torch.no_grad():
        rows = torch.cat([features(film, t) for t in frames]).double().cpu().numpy()
    return Samples(
        rows,
        {name: values.flatten(0, 1).cpu().numpy() for name, values in asked.items()},
        np.tile(np.arange(film.scene.n_scenes), len(frames)),
    )


# -- the regression ----------------------------------------------------------------------------------------------------


def probe(train: Samples, valid: Samples, test: Samples, name: str) -> Estimate | None:
    """R² on `test` of one quantity, its axes scaled and pooled; None for one that does not vary there or in `train`."""
    x, y, _ = train.known(name)
    x_valid, y_valid, _ = valid.known(name)
    x_test, target, scene = test.known(name)
    if not min(len(y), len(y_valid), len(target)):
        return None
    axes = _vary(y) & _vary(target)
    if not axes.any():
        return None
    spread = y[:, axes].std(0)
    solve = _Ridge(x, y[:, axes] / spread)

    def error(ridge: float) -> float:
        return float(np.mean((solve(x_valid, ridge) - y_valid[:, axes] / spread) ** 2))

    return _r2(solve(x_test, min(RIDGES, key=error)), target[:, axes] / spread, scene)


def _vary(y: np.ndarray) -> np.ndarray:
    """Which axes of a quantity (n, d) vary."""
    found: np.ndarray = y.std(0) > STILL * (1 + np.abs(y).mean(0))
    return found


class _Ridge:
    """Ridge regression on standardised features for any λ, by one decomposition."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.mean, self.offset = x.mean(0), y.mean(0)
        self.scale = x.std(0)
        # A feature that does not vary says nothing, and must not be divided by its rounding error.
        self.scale[self.scale < 1e-6 * (1e-12 + np.abs(self.mean) + self.scale.max(initial=0.0))] = np.inf
        u, self.s, self.vt = np.linalg.svd((x - self.mean) / self.scale, full_matrices=False)
        self.uy = u.T @ (y - self.offset)

    def __call__(self, x: np.ndarray, ridge: float) -> np.ndarray:
        weights = self.vt.T @ ((self.s / (self.s**2 + ridge))[:, None] * self.uy)
        answer: np.ndarray = ((x - self.mean) / self.scale) @ weights + self.offset
        return answer


def _r2(said: np.ndarray, true: np.ndarray, scene: np.ndarray, seed: int = 0) -> Estimate:
    """R² pooled over axes, its interval by resampling scenes."""
    number = int(scene.max()) + 1
    centred = true - true.mean(0)  # sums of squares of large numbers would lose what they differ by
    wrong = np.bincount(scene, ((said - true) ** 2).sum(1), number)
    first = np.stack([np.bincount(scene, c, number) for c in centred.T])
    second = np.bincount(scene, (centred**2).sum(1), number)
    count = np.bincount(scene, minlength=number)

    def r2(weight: np.ndarray) -> np.ndarray:
        varied = weight @ second - ((weight @ first.T) ** 2).sum(-1) / np.maximum(weight @ count, 1)
        # A draw of scenes that are all alike in the quantity says nothing.
        says = varied > STILL * second.sum()
        return np.asarray(1 - (weight @ wrong)[says] / varied[says])

    value = float(r2(np.ones((1, number)))[0])
    if number < 2:
        return Estimate(value, None, None)
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), DRAWS).astype(float)
    low, high = np.quantile(r2(drawn), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high))
