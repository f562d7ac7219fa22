"""Films of one scene as the plain data of a player: what stays fixed once, then one entry a film.

Positions are kept as 16-bit numbers between the least and greatest coordinate that the film reaches on each axis, which loses
at most half a step of (greatest − least) / levels, of which there are 65534 unless a caller wants fewer; each entry states its
step. The number 65535 stands for "not finite".
Poses, obstacles and the motion of the box are float32.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...contracts import BodyShape, MisuseError, NodeType, Obstacle, Scene, Trajectory
from ..metrics._bodies import poses

LEVELS = 65534
"""Steps between the least and the greatest coordinate."""
GONE = 65535
"""Stands for a coordinate that is not finite."""
MAX_FILMS = 6
COLOURS = ("speed", "error", "material")
SHARE_IN_SCALE = 97.0
"""Percentile of the values at which a colour scale ends; what is beyond has the last colour."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Shown:
    """One film to be shown."""

    name: str
    kind: str
    """"truth", or the kind on a contestant's card."""
    film: Trajectory


def player_data(
    title: str,
    shown: Sequence[Shown],
    *,
    scene: int = 0,
    colour: str = "speed",
    first_frame: int = 0,
    note: str = "",
    levels: int = LEVELS,
) -> dict[str, Any]:
    """What a player needs to show one scene of some films, as strict JSON.

    The scene, its script and its matter are the first film's. Errors are distances [m] from the film of kind "truth".
    `first_frame` is the number that frame 0 of the films is called; `note` is said below the title; `levels` are the steps between
    the least and the greatest coordinate, at most 65534.

    Raises MisuseError for no or too many films, a scene that is not there, and films of unlike scenes.
    """
    _check(shown, scene, colour)
    cut = [dataclasses.replace(s, film=s.film.select([scene]).to("cpu").with_divergence()) for s in shown]
    n_frames = min(s.film.n_frames for s in cut)
    cut = [dataclasses.replace(s, film=s.film.frames(0, n_frames)) for s in cut]
    _require_alike(cut)
    fixed = cut[0].film.scene
    truth = next((k for k, s in enumerate(cut) if s.kind == "truth"), None)
    films = [_film(s, None if truth is None else cut[truth].film, levels) for s in cut]
    return {
        "title": title,
        "note": note,
        "domain": fixed.domain,
        "axes": fixed.dim,
        "interval": fixed.frame_interval,
        "frames": n_frames,
        "first_frame": first_frame,
        "nodes": fixed.n_nodes,
        "truth": truth,
        "colour": colour if truth is not None or colour != "error" else "speed",
        "scales": _scales(films, fixed, truth),
        **_matter(fixed),
        **_surroundings(fixed, n_frames),
        "films": films,
    }


def _check(shown: Sequence[Shown], scene: int, colour: str) -> None:
    if not 1 <= len(shown) <= MAX_FILMS:
        raise MisuseError(f"{len(shown)} films; a player shows 1 to {MAX_FILMS}")
    if colour not in COLOURS:
        raise MisuseError(f"colour {colour!r} is unknown; one of {', '.join(COLOURS)} is right")
    for s in shown:
        if not 0 <= scene < s.film.scene.n_scenes:
            raise MisuseError(f"{s.name} has no scene {scene}; it has 0 to {s.film.scene.n_scenes - 1}")


def _require_alike(cut: Sequence[Shown]) -> None:
    first = cut[0]
    for s in cut[1:]:
        for what in ("domain", "dim", "n_nodes", "frame_interval"):
            a, b = getattr(first.film.scene, what), getattr(s.film.scene, what)
            if a != b:
                raise MisuseError(f"{first.name} and {s.name} are not of one scene: their {what} is {a} and {b}")


def _film(shown: Shown, truth: Trajectory | None, levels: int) -> dict[str, Any]:
    """One film's own part. Bodies whose poses it lacks are laid on its nodes."""
    film = shown.film
    pose = film.pose if truth is None else poses(truth, film)
    position = film.position.to(torch.float64).numpy()
    low, high = hull(position)
    entry = {
        "name": shown.name,
        "kind": shown.kind,
        "low": low.tolist(),
        "high": high.tolist(),
        "step": ((high - low) / levels).tolist(),
        "position": packed(_quantised(position, low, high, levels)),
        "diverged_at": -1 if film.diverged_at is None else int(film.diverged_at[0]),
    }
    if pose is not None:
        entry["pose"] = packed(pose.to(torch.float32).numpy())
    return entry


def hull(position: Array) -> tuple[Array, Array]:
    """Least and greatest finite coordinate on each axis (D,)."""
    finite = np.isfinite(position)
    if not finite.any():
        return np.zeros(position.shape[2]), np.zeros(position.shape[2])
    low = np.where(finite, position, np.inf).min((0, 1))
    return low, np.where(finite, position, -np.inf).max((0, 1))


def _quantised(position: Array, low: Array, high: Array, levels: int) -> Array:
    step = np.where(high > low, (high - low) / levels, 1.0)
    finite = np.isfinite(position)
    counted = np.rint((np.where(finite, position, low) - low) / step)
    return np.where(finite.all(-1, keepdims=True), counted, GONE).astype("<u2")


def positions(entry: Mapping[str, Any], n_nodes: int, axes: int) -> Array:
    """Node positions (T, N, D) [m] of a film's entry, NaN where they are not finite."""
    levels = unpacked(entry["position"], "<u2").reshape(-1, n_nodes, axes)
    values = np.asarray(entry["low"]) + levels * np.asarray(entry["step"])
    return np.where(levels == GONE, np.nan, values)


def packed(values: Array) -> str:
    """Numbers as base64 of their bytes, little endian."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()).decode()


def unpacked(text: str, kind: str) -> Array:
    """The numbers of `packed`, flat."""
    return np.frombuffer(base64.b64decode(text), dtype=kind)


def _matter(scene: Scene) -> dict[str, Any]:
    """What the nodes are."""
    driven = (scene.node_type == NodeType.DRIVEN).numpy()
    body = scene.body_id.numpy()
    return {
        "driven": packed(driven.astype("u1")) if driven.any() else None,
        "material": {"what": "mass of the body" if scene.shape_kind.numel() else "mass of the node", "unit": "kg"},
        "mass": packed(_mass(scene).astype("<f4")),
        "radius": _radius(scene),
        "faces": packed(scene.faces.numpy().astype("<u4")) if scene.faces.numel() else None,
        "body": packed(body.astype("<i4")) if scene.shape_kind.numel() else None,
        "solids": _solids(scene),
        "parameters": {k: float(v[0]) for k, v in scene.parameters.items() if bool(torch.isfinite(v[0]))},
    }


def _mass(scene: Scene) -> Array:
    """Mass [kg] of each node, or of the body that it is on (N,)."""
    mass, body = scene.mass.to(torch.float64).numpy(), scene.body_id.numpy()
    if not scene.shape_kind.numel():
        return mass
    total = np.zeros(int(body.max()) + 1)
    np.add.at(total, body[body >= 0], mass[body >= 0])
    return np.where(body >= 0, total[np.maximum(body, 0)], mass)


def _radius(scene: Scene) -> float:
    """Half the median distance [m] of a node's nearest neighbour at rest: how large a particle is drawn."""
    from scipy.spatial import cKDTree

    where = scene.rest_position.to(torch.float64).numpy()
    if len(where) < 2:
        return 0.02 * float(scene.diagonal[0])
    nearest: Array = np.asarray(cKDTree(where).query(where, k=2)[0])
    return float(np.median(nearest[:, 1])) / 2


def _solids(scene: Scene) -> list[dict[str, Any]]:
    parts = (scene.shape_kind, scene.shape_size, scene.shape_pose, scene.shape_body)
    rows = zip(*(p.tolist() for p in parts), strict=True)
    return [
        {"shape": BodyShape(kind).name.lower(), "size": size, "pose": pose, "body": body}
        for kind, size, pose, body in rows
    ]


def _surroundings(scene: Scene, n_frames: int) -> dict[str, Any]:
    """The box, what stands in it, and how both move; scripts that end early stand still."""
    script = scene.script
    still = torch.arange(n_frames).clamp(max=script.n_frames - 1)
    offset = script.box_offset[still, 0].to(torch.float32)
    return {
        "bounds": scene.bounds[0].tolist(),
        "period": scene.period[0].tolist(),
        "up": _up(scene),
        "solid_sides": scene.solid[0].tolist(),
        "box_offset": packed(offset.numpy()) if bool((offset != offset[0]).any() or (offset != 0).any()) else None,
        "obstacles": [
            {"shape": Obstacle(kind).name.lower(), "size": size}
            for kind, size in zip(scene.obstacle_kind.tolist(), scene.obstacle_size.tolist(), strict=True)
        ],
        "obstacle_position": packed(script.obstacle_position[still].to(torch.float32).numpy()),
    }


def _up(scene: Scene) -> int:
    """The axis that points up: the last one."""
    return scene.dim - 1


def _scales(films: Sequence[Mapping[str, Any]], scene: Scene, truth: int | None) -> dict[str, list[float]]:
    """Ends of the colour scales [m/s], [m], [kg]: one scale for all films."""
    where = [positions(f, scene.n_nodes, scene.dim) for f in films]
    period = scene.period[0].to(torch.float64).numpy()
    judge = where[0 if truth is None else truth]
    steps = _shortened(np.diff(judge, axis=0), period) / scene.frame_interval
    ends = {"speed": [0.0, _end(np.linalg.norm(steps, axis=-1))]}
    if truth is not None:
        apart = [np.linalg.norm(_shortened(w - judge, period), axis=-1).ravel() for w in where]
        ends["error"] = [0.0, _end(np.concatenate(apart))]
    mass = _mass(scene)
    ends["material"] = [float(mass.min()), float(mass.max())]
    return ends


def _shortened(difference: Array, period: Array) -> Array:
    """Differences (..., D) by whole periods."""
    safe = np.where(period > 0, period, 1.0)
    return difference - np.where(period > 0, np.round(difference / safe) * safe, 0.0)


def _end(values: Array) -> float:
    held = values[np.isfinite(values)]
    found = float(np.percentile(held, SHARE_IN_SCALE)) if held.size else 0.0
    return found if found > 0 else 1.0
