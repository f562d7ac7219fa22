"""A film a domain from recorded weights: the truth, the best specialist and the best generalist, side by side, as a GIF.

Data are not kept with records: the scene is simulated again from the record's seed, and who is shown must err on it as recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...contracts import MisuseError, registry
from .. import record as records
from ..play import images
from ..play.again import require_recorded
from ..play.film import player_data
from ..play.pick import KINDS, METRIC
from ..play.run import of_run

SPLIT, RULE = "test", "median"
PANEL, EVERY, COLOURS = 2.6, 2, 64
"""Width of a panel in hundreds of pixels, one frame of so many, colours of the palette: a file of about a megabyte at most."""


def recorded_run(folders: Sequence[str]) -> Path:
    """The first of the folders of records that keeps weights; raises MisuseError when none does."""
    for folder in folders:
        if next(Path(folder, "weights").glob("*/*/*/weights.safetensors"), None) is not None:
            return Path(folder)
    raise MisuseError(f"none of {', '.join(folders)} keeps weights; a film needs them")


def best_kept(folder: Path, held: Mapping[str, Any], domain: str) -> list[str]:
    """The best generalist and the best specialist of a domain, of those whose weights are beside the record."""
    mine = [s for s in held["scores"] if s["domain"] == domain and s["split"] == SPLIT]
    best = []
    for kind in KINDS:
        ranked = sorted(
            (_error(s), s["model"]) for s in mine if s["kind"] == kind and _kept(folder, domain, s["model"])
        )
        best += [model for _, model in ranked[:1]]
    if not best:
        raise MisuseError(f"{folder} keeps weights of nobody that it scored on {domain} {SPLIT}")
    return best


def _kept(folder: Path, domain: str, model: str) -> bool:
    """Whether weights of a model that learned the domain are in a folder's weights."""
    found = folder.glob(f"weights/*/{model}/*/weights.safetensors")
    return any(domain in path.relative_to(folder).parts[1].split("+") for path in found)


def _error(score: Mapping[str, Any]) -> float:
    values: Mapping[str, Any] = next((v for m, v in score["values"].items() if m.startswith(METRIC)), {})
    found = values.get("mean")
    return float("inf") if not found else float(found["value"])


def film(folder: Path, domain: str, path: Path) -> dict[str, Any]:
    """Write the GIF of a domain; returns what it shows: scene, why that one, contestants, errors found and recorded.

    Raises MisuseError where a contestant does not err as the record says.
    """
    names = best_kept(folder, records.read(folder), domain)
    choice = of_run(folder, domain, SPLIT, names, RULE)
    agreed = require_recorded(folder, registry.domain(domain), SPLIT, choice.scene, choice.shown)
    # Truth first, then from the one that learned this domain alone to the one that learned all.
    shown = [choice.shown[0], *choice.shown[:0:-1]]
    data = player_data(f"{domain}, {SPLIT}, scene {choice.scene}", shown, first_frame=choice.first_frame)
    images.gif(data, path, every=EVERY, panel=PANEL, colours=COLOURS)
    errors = {name: {"found": now, "recorded": then} for name, (now, then) in agreed.items()}
    return {"file": str(path), "domain": domain, "scene": choice.scene, "why": choice.note, "first_frames_rmse": errors}
