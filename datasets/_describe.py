"""What a data set on disk is, for people: read from its card and its manifest, without opening a shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ._manifest import read_manifest
from ._plan import read_plan


def describe(folder: str | Path) -> dict[str, Any]:
    """What a data set was made as, under `made`, and its `splits`, each with what is planned and what is finished.

    A split has `trajectories`, `finished` (how many of them), `frames` of each, `seconds` of physics in each, `shards` and `bytes`
    that lie there. Raises MisuseError when there is no data set, or a damaged one.
    """
    folder = Path(folder)
    plan, entries = read_plan(folder), read_manifest(folder)
    made = {
        name: plan.config[name] for name in ("domain", "track", "size", "siblings", "root_seed", "generator_version")
    }
    recipe, interval = plan.recipe, plan.card["frame_interval"]
    made |= {"frame_interval_s": interval, "past_frames": recipe.past, "horizon_frames": recipe.horizon}
    splits = []
    for name in plan.splits:
        mine, frames = [e for e in entries if e.split == name], recipe.n_frames(name)
        splits.append({
            "split": name,
            "trajectories": plan.card["splits"][name]["trajectories"],
            "finished": sum(e.trajectories for e in mine),
            "frames": frames,
            "seconds": round((frames - 1) * interval, 9),
            "shards": len(mine),
            "bytes": sum(e.bytes for e in mine),
        })  # fmt: skip
    return {"made": made, "splits": splits}
