"""The package drawn: its folders in the order of their imports, what each holds, and what one hands on to the next.

The order is no wish: the source is read, and a drawing that an import contradicts is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...contracts import MisuseError
from . import style

ROOT = Path(__file__).parents[2]
BASE, BASE_HOLDS = (
    "contracts",
    "the nouns that all others share: Scene, Trajectory, Model, Stepper, Domain, ModelCard, Track, Recipe",
)
FOLDERS = {
    "simulators": "truth and its\nladder of cheaper\nsettings, held\nagainst physics",
    "datasets": "recipe and seed\nto verified HDF5\nshards and\nwindows of them",
    "surrogates": "graph networks,\none a kind of\nphysics; baselines",
    "jepa": "the generalist:\none set of weights\nfor all domains",
    "bench": "scores, times,\nrecords; board,\nreport, claims,\npictures",
    "commands": "hedgefox VERB:\nparses, calls,\nprints",
}
"""Folders from the first to the last in the order of imports, with what they hold."""
HANDED = ("films", "windows", "networks", "models", "answers")
"""What each hands on to the next."""
KEPT = {"datasets": "data/*.h5", "surrogates": "weights/…", "jepa": "weights/…", "bench": "record.json\ncurves.parquet"}
"""What a run leaves on disk, below who makes it."""
WIDE, TALL, STEP = 1.85, 1.5, 2.6


def imports(root: Path = ROOT) -> dict[str, set[str]]:
    """By folder, which of the other folders its files import."""
    names = (BASE, *FOLDERS)
    return {n: {u for path in sorted((root / n).rglob("*.py")) for u in _of(path, root)} - {n} for n in names}


def _of(path: Path, root: Path) -> Iterator[str]:
    """Folders of ours that a file imports, by its relative imports."""
    package = path.relative_to(root).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *filter(None, (node.module or "").split("."))]
            named = base[:1] or [alias.name for alias in node.names]
            yield from (name for name in named if name in (BASE, *FOLDERS))


def require_order(root: Path = ROOT) -> None:
    """Raise MisuseError for an import that goes from right to left in the drawing."""
    order = [BASE, *FOLDERS]
    for name, used in imports(root).items():
        late = [other for other in used if order.index(other) > order.index(name)]
        if late:
            raise MisuseError(f"{name}/ imports {late[0]}/, which the diagram draws after it; imports go one way")


def draw(path: Path) -> Path:
    """The diagram as SVG."""
    require_order()
    across = STEP * (len(FOLDERS) - 1) + WIDE
    with style.card(0.78 * across, 3.1) as figure:
        axes = figure.subplots()
        axes.set(xlim=(-0.1, across + 0.1), ylim=(-1.15, 2.95), aspect="equal")
        axes.axis("off")
        _box(axes, (0, 2.1), (across, 0.75), f"{BASE}/", BASE_HOLDS)
        for k, (name, what) in enumerate(FOLDERS.items()):
            _box(axes, (STEP * k, 0), (WIDE, TALL), f"{name}/", what)
            _arrow(axes, (STEP * k + WIDE / 2, 2.08), (STEP * k + WIDE / 2, TALL + 0.02), "-|>", style.LADDER)
            if name in KEPT:
                _kept(axes, STEP * k + WIDE / 2, KEPT[name])
        for k, what in enumerate(HANDED):
            _arrow(axes, (STEP * k + WIDE, TALL / 2), (STEP * (k + 1), TALL / 2), "-|>", style.palette()[0])
            axes.text(
                STEP * k + (WIDE + STEP) / 2, TALL / 2 + 0.09, what, ha="center", fontsize=8, color=style.palette()[0]
            )
        axes.text(across, -1.0, "Grey arrows: every folder imports the nouns. Blue arrows: what is handed on. A folder imports "
                  "only what stands above it or to its left.", ha="right", fontsize=8, color=style.MUTED)  # fmt: skip
        return style.save(figure, path)


def _box(axes: Any, corner: tuple[float, float], size: tuple[float, float], title: str, what: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(FancyBboxPatch(corner, *size, boxstyle="round,pad=0,rounding_size=0.08", facecolor="#f3f6f9",
                                  edgecolor=style.MUTED, linewidth=1.0))  # fmt: skip
    x, top = corner[0] + 0.12, corner[1] + size[1]
    axes.text(x, top - 0.13, title, va="top", fontsize=10.5, fontweight="bold")
    axes.text(x, top - 0.45, what, va="top", fontsize=8.5, linespacing=1.25)


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float], form: str, hue: str) -> None:
    axes.annotate(
        "", end, start, arrowprops={"arrowstyle": form, "color": hue, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    )


def _kept(axes: Any, x: float, what: str) -> None:
    _arrow(axes, (x, -0.02), (x, -0.2), "-", style.palette()[2])
    axes.text(x, -0.24, what, ha="center", va="top", fontsize=8, color=style.palette()[2], family="DejaVu Sans Mono")
