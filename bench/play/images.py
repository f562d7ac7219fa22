"""The data of a player as pictures: PNG of a frame, GIF and MP4 of the film, panels side by side.

Everything is projected along one line of sight and painted from back to front as flat shaded triangles or discs.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...contracts import MisuseError
from ._solids import solid_mesh, turned
from .film import positions, unpacked

Array = NDArray[Any]
PANEL_INCHES, DPI = 3.6, 100
VIEW = np.array([0.55, -0.95, 0.5]) / np.linalg.norm([0.55, -0.95, 0.5])
"""From the scene to the eye, in three dimensions."""
LIGHT = np.array([-0.3, -0.6, 0.75]) / np.linalg.norm([-0.3, -0.6, 0.75])
DRIVEN, OBSTACLE = (0.95, 0.49, 0.15), (0.6, 0.42, 0.25)
SLOWDOWN = 2.0
"""How much slower than time the films play: most last a second."""


@dataclass(frozen=True)
class Pictured:
    """A player's data, unpacked once for all frames."""

    data: Mapping[str, Any]
    where: list[Array]
    """Positions (T, N, 3) [m] of each film."""
    tints: list[Array]
    """Colours (T, N, 3) of each film."""
    basis: Array
    """Rows: to the right, up, and to the eye, (3, 3)."""


def png(data: Mapping[str, Any], path: str | Path, frame: int) -> Path:
    """One frame as PNG. Raises MisuseError for a frame that is not there."""
    if not 0 <= frame < data["frames"]:
        raise MisuseError(f"there is no frame {frame}; the films have frames 0 to {data['frames'] - 1}")
    path = _room(path)
    _image(pictured(data), frame).save(path, format="PNG")
    return path


def gif(
    data: Mapping[str, Any], path: str | Path, *, every: int = 1, panel: float = PANEL_INCHES, colours: int = 128
) -> Path:
    """The frames, or one of `every`, as a GIF that loops, at half the speed of time or slower.

    `panel` is a panel's width in hundreds of pixels; a smaller one with fewer `colours` makes a smaller file.
    """
    path, held = _room(path), pictured(data)
    images = (_image(held, frame, panel) for frame in range(0, data["frames"], every))
    first, *rest = (image.convert("P", palette=Image.Palette.ADAPTIVE, colors=colours) for image in images)
    shown_for = max(20, round(1000 * SLOWDOWN * every * data["interval"] / 10) * 10)
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=shown_for, loop=0, optimize=True)
    return path


def mp4(data: Mapping[str, Any], path: str | Path) -> Path:
    """All frames as an MP4, by ffmpeg. Raises MisuseError where there is none, and when it fails."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise MisuseError(
            "--mp4 needs ffmpeg, which is not installed (Debian: apt-get install ffmpeg); --gif needs nothing"
        )
    path, images = _room(path), list(_images(data))
    size = "x".join(map(str, images[0].size))
    rate = f"{1 / (SLOWDOWN * data['interval']):.6g}"
    asked = [
        program,
        "-y",
        "-loglevel",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        size,
        "-r",
        rate,
        "-i",
        "-",
    ]
    asked += ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)]
    done = subprocess.run(asked, input=b"".join(i.tobytes() for i in images), capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
        raise MisuseError(f"ffmpeg could not write {path}: {said[-1]}")
    return path


def _room(path: str | Path) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _images(data: Mapping[str, Any]) -> Iterator[Image.Image]:
    held = pictured(data)
    return (_image(held, frame) for frame in range(data["frames"]))


def pictured(data: Mapping[str, Any]) -> Pictured:
    """Unpack a player's data."""
    flat = data["axes"] == 2
    where = [positions(film, data["nodes"], data["axes"]) for film in data["films"]]
    where = [np.pad(w, ((0, 0), (0, 0), (0, 3 - data["axes"]))) for w in where]
    across = np.cross([0.0, 0.0, 1.0], VIEW)
    across /= np.linalg.norm(across)
    basis = np.eye(3) if flat else np.stack([across, np.cross(VIEW, across), VIEW])
    return Pictured(data, where, [_tints(data, where, k) for k in range(len(where))], basis)


def _tints(data: Mapping[str, Any], where: list[Array], film: int) -> Array:
    """Colours (T, N, 3) of a film's nodes by the data's colour."""
    from matplotlib import colormaps

    low, high = data["scales"][data["colour"]]
    values = node_values(data, where, film)
    share = (values - low) / (high - low) if high > low else np.full_like(values, 0.5)
    tints = colormaps["viridis"](np.nan_to_num(share).clip(0, 1))[..., :3]
    if data["driven"] is not None:
        tints[:, unpacked(data["driven"], "u1") > 0] = DRIVEN
    return np.asarray(tints)


def node_values(data: Mapping[str, Any], where: list[Array], film: int) -> Array:
    """What the nodes of a film are coloured by, (T, N)."""
    mine = where[film]
    if data["colour"] == "material":
        return np.broadcast_to(unpacked(data["mass"], "<f4"), mine.shape[:2])
    if data["colour"] == "error":
        return np.asarray(np.linalg.norm(_shortest(mine - where[data["truth"]], data), axis=-1))
    before = mine[[min(1, len(mine) - 1), *range(len(mine) - 1)]]
    return np.asarray(np.linalg.norm(_shortest(mine - before, data), axis=-1) / data["interval"])


def _shortest(difference: Array, data: Mapping[str, Any]) -> Array:
    period = np.pad(np.asarray(data["period"]), (0, 3 - data["axes"]))
    safe = np.where(period > 0, period, 1.0)
    return difference - np.where(period > 0, np.round(difference / safe) * safe, 0.0)


def _image(held: Pictured, frame: int, panel: float = PANEL_INCHES) -> Image.Image:
    """One frame of all films, on white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n = len(held.where)
    columns = 2 if n == 4 else min(n, 3)
    rows = -(-n // columns)
    low, high = _extent(held)
    ratio = float(np.clip((high[1] - low[1]) / (high[0] - low[0]), 0.5, 1.2))
    width, height = (_even(s) for s in (columns * panel, rows * (panel * ratio + 0.35) + 0.3))
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    canvas: Any = FigureCanvasAgg(figure)
    for k in range(n):
        axes = figure.add_subplot(rows, columns, k + 1)
        _panel(axes, held, k, frame)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        axes.axis("off")
    figure.text(0.5, 0.01, _foot(held.data, frame), ha="center", fontsize=8, color="#444444", parse_math=False)
    figure.subplots_adjust(0.01, 0.3 / height, 0.99, 1 - 0.3 / height, 0.03, 0.12)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _even(inches: float) -> float:
    """A length of an even number of dots: what encoders of video ask for."""
    return round(inches * DPI / 2) * 2 / DPI


def _foot(data: Mapping[str, Any], frame: int) -> str:
    """Frame, time and what colours mean, in a line."""
    number, (low, high) = data["first_frame"] + frame, data["scales"][data["colour"]]
    unit = {"speed": "m/s", "error": "m", "material": "kg"}[data["colour"]]
    scale = f"colour: {data['colour']}, {low:.2g} to {high:.2g} {unit} (viridis)"
    return f"frame {number} · {number * data['interval']:.2f} s · {scale}"


def _extent(held: Pictured) -> tuple[Array, Array]:
    """Corners of the picture: the box, or, where that is far larger than the matter, the matter of the first film."""
    corners = _box(held.data)
    matter = held.where[0][np.isfinite(held.where[0]).all(-1)]
    if matter.size:
        ends = np.stack([matter.min(0), matter.max(0)])
        if np.linalg.norm(ends[1] - ends[0]) * 2.2 < np.linalg.norm(corners.max(0) - corners.min(0)):
            corners = _corners(ends)
    seen = corners @ held.basis[:2].T
    margin = 0.04 * (seen.max(0) - seen.min(0))
    return seen.min(0) - margin, seen.max(0) + margin


def _corners(ends: Array) -> Array:
    return np.array([[ends[i][0], ends[j][1], ends[k][2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])


def _box(data: Mapping[str, Any]) -> Array:
    """Corners (8, 3) of the box; a flat one has no depth."""
    return _corners(np.pad(np.asarray(data["bounds"]), ((0, 0), (0, 3 - data["axes"]))))


def _panel(axes: Any, held: Pictured, film: int, frame: int) -> None:
    from matplotlib.collections import LineCollection

    data, axis = held.data, held.data["axes"]
    offset = np.zeros(3)
    if data["box_offset"] is not None:
        offset[:axis] = unpacked(data["box_offset"], "<f4").reshape(-1, axis)[frame]
    corners = _box(data) + offset
    pairs = [(i, j) for i in range(8) for j in range(i) if bin(i ^ j).count("1") == 1]
    lines = [corners[[i, j]] @ held.basis[:2].T for i, j in pairs]
    axes.add_collection(LineCollection(lines, colors="#b0b6bc", linewidths=0.8, zorder=0), autolim=False)
    _obstacles(axes, held, frame)
    entry = data["films"][film]
    gone = 0 <= entry["diverged_at"] <= frame
    said = f"diverged at frame {data['first_frame'] + entry['diverged_at']}" if gone else entry["kind"]
    axes.set_title(f"{entry['name']}  ({said})", fontsize=9, color="#b3261e" if gone else "black", parse_math=False)
    if not gone:
        _matter(axes, held, film, frame)


def _obstacles(axes: Any, held: Pictured, frame: int) -> None:
    data, axis = held.data, held.data["axes"]
    centres = unpacked(data["obstacle_position"], "<f4").reshape(data["frames"], -1, axis)[frame]
    for obstacle, centre in zip(data["obstacles"], np.pad(centres, ((0, 0), (0, 3 - axis))), strict=True):
        size = (*obstacle["size"], obstacle["size"][0])[:3]
        corner, faces = solid_mesh(obstacle["shape"], size)
        triangles = (corner + centre)[faces]
        _paint(axes, held, triangles, np.broadcast_to(OBSTACLE, (len(faces), 3)), alpha=0.35 if axis == 3 else 1.0)


def _matter(axes: Any, held: Pictured, film: int, frame: int) -> None:
    data, entry = held.data, held.data["films"][film]
    where, tints = held.where[film][frame], held.tints[film][frame]
    if data["solids"] and "pose" in entry:
        _bodies(axes, held, entry, frame, tints)
    elif data["faces"] is not None:
        faces = unpacked(data["faces"], "<u4").reshape(-1, 3)
        _paint(axes, held, where[faces], tints[faces].mean(1))
    else:
        _discs(axes, held, where, tints)


def _bodies(axes: Any, held: Pictured, entry: Mapping[str, Any], frame: int, tints: Array) -> None:
    """Every solid as triangles, in the mean colour of its body's nodes."""
    data, body = held.data, unpacked(held.data["body"], "<i4")
    poses = unpacked(entry["pose"], "<f4").reshape(data["frames"], -1, 7)[frame]
    triangles, colours = [], []
    for solid in data["solids"]:
        corner, faces = solid_mesh(solid["shape"], solid["size"])
        own, pose = np.asarray(solid["pose"]), poses[solid["body"]]
        corner = turned(pose[3:], turned(own[3:], corner) + own[:3]) + pose[:3]
        triangles.append(corner[faces])
        colours.append(np.broadcast_to(tints[body == solid["body"]].mean(0), (len(faces), 3)))
    _paint(axes, held, np.concatenate(triangles), np.concatenate(colours))


def _paint(axes: Any, held: Pictured, triangles: Array, colours: Array, alpha: float = 1.0) -> None:
    """Triangles (F, 3, 3), flat shaded from both sides, from back to front."""
    from matplotlib.collections import PolyCollection

    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    light = np.ones(len(triangles)) if held.data["axes"] == 2 else 0.5 + 0.5 * np.abs(normal @ LIGHT)
    seen = triangles @ held.basis.T
    order = np.argsort(seen[..., 2].mean(1))
    shade = np.concatenate([colours * light[:, None], np.full((len(colours), 1), alpha)], axis=1)[order]
    edge = shade if alpha == 1.0 else "none"
    axes.add_collection(
        PolyCollection(list(seen[order, :, :2]), facecolors=shade, edgecolors=edge, linewidths=0.3), autolim=False
    )


def _discs(axes: Any, held: Pictured, where: Array, tints: Array) -> None:
    from matplotlib.collections import EllipseCollection

    seen = where @ held.basis.T
    order = np.argsort(seen[:, 2])
    across = np.full(len(where), 2.1 * held.data["radius"])
    discs = EllipseCollection(
        across, across, np.zeros(len(where)), units="xy", offsets=seen[order, :2], facecolors=tints[order], linewidths=0,
        offset_transform=axes.transData,
    )  # fmt: skip
    axes.add_collection(discs, autolim=False)
