"""Siblings: the same start with one parameter changed, or under another script. The "what if" pairs of a data set.

Sibling 0 of a group is the plain sample; each of the others differs from it in exactly one thing, which a Variation names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .errors import MisuseError
from .scene import Scene

SCRIPT_SCALE, SCRIPT_DELAY = "script scale", "script delay"
"""What a Variation is called that changes the script: its motion made smaller, or begun later."""
SCALE = (0.25, 0.75)
"""Factors on everything that the script moves, measured from frame 0: never farther than the plain sample's motion."""
DELAY_SHARE = 0.25
"""The latest start of a delayed script, as a share of its frames."""
LOGARITHMIC = 10.0
"""Ranges whose ends differ by at least this factor are drawn from in the logarithm."""

Ranges = Mapping[str, Mapping[str, tuple[float, float]]]
"""By parameter and split, the lowest and highest value that the split draws; "train" stands for every split not named."""


@dataclass(frozen=True)
class Variation:
    """What makes a sibling differ from the plain sample."""

    varied: str = ""
    """A parameter's name, SCRIPT_SCALE or SCRIPT_DELAY; empty for the plain sample itself."""
    value: float = 0.0
    """The parameter's new value in its own unit, the factor [1], or the delay [s]; zero for the plain sample."""


PLAIN = Variation()
"""Nothing is changed."""


def draw(
    scene: Scene, split: str, ranges: Ranges, rng: np.random.Generator, taken: Sequence[Variation] = ()
) -> Variation:
    """One thing to change about a scene (a batch of one) and the value to change it to, none of those `taken`.

    Raises MisuseError when nothing can vary: no parameter of the scene has a range, and nothing is moved by the script.
    """
    names = [n for n in sorted(scene.parameters) if n in ranges]
    choices = names + ([SCRIPT_SCALE, SCRIPT_DELAY] if moves(scene) else [])
    if not choices:
        raise MisuseError(
            f"a scene of {scene.domain} has no siblings: {scene.domain} states a range for {', '.join(ranges) or 'none'} of "
            f"its parameters {', '.join(sorted(scene.parameters)) or '(none)'}, and its script moves nothing"
        )
    while True:
        drawn = _draw_one(scene, split, ranges, rng, choices[int(rng.integers(len(choices)))])
        if drawn not in taken:
            return drawn


def _draw_one(scene: Scene, split: str, ranges: Ranges, rng: np.random.Generator, varied: str) -> Variation:
    if varied == SCRIPT_SCALE:
        return Variation(varied, float(rng.uniform(*SCALE)))
    if varied == SCRIPT_DELAY:
        latest = max(1, int(DELAY_SHARE * scene.script.n_frames))
        return Variation(varied, int(rng.integers(1, latest + 1)) * scene.frame_interval)
    low, high = ranges[varied].get(split, ranges[varied]["train"])
    return Variation(varied, _other_value(float(scene.parameters[varied][0]), low, high, rng))


def _other_value(now: float, low: float, high: float, rng: np.random.Generator) -> float:
    """A value of the range, as float32 holds it, that is not the one there is."""
    if not low < high:
        raise MisuseError(f"a parameter's range is {low} to {high}; the upper end must exceed the lower")
    while True:
        even = low <= 0 or high < LOGARITHMIC * low
        drawn = rng.uniform(low, high) if even else math.exp(rng.uniform(math.log(low), math.log(high)))
        value = float(np.float32(drawn))
        if value != now:
            return value


def moves(scene: Scene) -> bool:
    """Whether the script moves anything at all."""
    script = scene.script
    parts = (script.box_offset, script.obstacle_position, script.node_position)
    return any(bool((x != x[:1]).any()) for x in parts)


def with_script_changed(scene: Scene, variation: Variation) -> Scene:
    """The scene under its script made smaller by a factor, or begun later by a delay [s]. Frame 0 stays as it is."""

    def scaled(name: str, x: Tensor) -> Tensor:
        return torch.cat([x[:1], x[:1] + variation.value * (x[1:] - x[:1])])

    def delayed(name: str, x: Tensor) -> Tensor:
        late = round(variation.value / scene.frame_interval)
        return x[(torch.arange(x.shape[0], device=x.device) - late).clamp(min=0)]

    return scene.with_script(scene.script._map(scaled if variation.varied == SCRIPT_SCALE else delayed))
