"""What siblings on disk must hold: one start, and exactly the difference that the index names."""

from __future__ import annotations

from ..contracts.scene import GROUP_OF, SCRIPT_GROUP_OF
from ..contracts.siblings import PLAIN, SCRIPT_DELAY, SCRIPT_SCALE, Variation, with_script_changed
from ._record import SCRIPT, Array, Record, film_of
from ._shard import Row

STARTS = ("position", "velocity", "pose", "twist")
"""Frames whose first must be the same, bit for bit."""
FOLLOWING = ("mass", "gravity")
"""Fields of a scene that may follow from a parameter; all others are the same in every sibling."""


class Family:
    """Goes through the trajectories of a shard in order and holds each to the plain sample of its group."""

    def __init__(self, siblings: int) -> None:
        self.siblings = siblings
        self.plain: Record | None = None

    def problem(self, record: Record, row: Row) -> str | None:
        """What is wrong with a trajectory as a sibling, or None."""
        group, variant = divmod(row["index"], self.siblings)
        if (row["group"], row["variant"]) != (group, variant):
            return f"it is sibling {row['variant']} of group {row['group']}; {variant} of {group} is right"
        if variant == 0:
            self.plain = record
            return f"it is a plain sample, but {row['varied']} was varied" if row["varied"] else None
        if self.plain is None:
            return "the plain sample of its group is missing"
        return _difference(self.plain, record, row["varied"], row["value"])


def _difference(plain: Record, record: Record, varied: str, value: float) -> str | None:
    for name in STARTS:
        if name in plain.arrays and not _same(plain.arrays[name][:1], record.arrays.get(name, plain.arrays[name])[:1]):
            return f"its {name} at frame 0 is not that of its plain sibling"
    by_script = varied in (SCRIPT_SCALE, SCRIPT_DELAY)
    for name in GROUP_OF:
        if not _same(plain.arrays[name], record.arrays[name]) and (by_script or name not in FOLLOWING):
            return f"its {name} is not that of its plain sibling"
    names = plain.parameters.keys() | record.parameters.keys()
    found = sorted(n for n in names if plain.parameters.get(n) != record.parameters.get(n))
    if found != ([] if by_script else [varied]):
        return f"it differs from its plain sibling in {', '.join(found) or 'no parameter'}; the index says {varied!r}"
    if not by_script and float(record.parameters[varied]) != value:
        return f"{varied} is {record.parameters[varied]}; the index says {value}"
    return _script_problem(plain, record, Variation(varied, value) if by_script else PLAIN)


def _script_problem(plain: Record, record: Record, variation: Variation) -> str | None:
    script = film_of(plain).scene.script
    if variation != PLAIN:
        script = with_script_changed(film_of(plain).scene, variation).script
    for name in SCRIPT_GROUP_OF:
        if not _same(getattr(script, name).numpy(), record.arrays[SCRIPT + name]):
            return f"its {SCRIPT}{name} is not that of its plain sibling with {variation.varied or 'nothing'} changed"
    return None


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()
