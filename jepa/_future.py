"""All latents of a rollout in few calls: leaps of a stride one after another, everything between them together.

What `Jepa.advance` and `decode` say frame by frame, said for a whole film: the same leaps from the same tokens, so the same answer
up to rounding. On a CPU most of a small network's time is the calls themselves, on a GPU their launches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..contracts import Scene, Script
from ._backbone import Backbone, Tokens
from ._conditions import script_tokens
from ._layout import layout
from ._leaps import Predict


def latents_at(
    backbone: Backbone,
    first: Tokens,
    scene: Scene,
    script: Script,
    times: Sequence[int],
    predict: Predict | None = None,
) -> list[Tokens]:
    """Tokens so many frames after `first`, which rise: leaps of a stride, and one part of it for each time between.

    Frame 0 of the script is the time of `first`.
    """
    now, at, found, known = first, 0, [], layout(scene)

    def leap(frames: int) -> Tokens:
        return backbone.leap(now, scene, script.starting_at(at), frames, predict=predict, known=known)

    for t in times:
        while t - at >= backbone.stride:
            now = leap(backbone.stride)
            at += backbone.stride
        found.append(now if t == at else leap(t - at))
    return found


def latents(
    backbone: Backbone, first: Tokens, scene: Scene, script: Script, n_frames: int, predict: Predict | None = None
) -> Tensor:
    """Latent tokens of the `n_frames` frames after `first`, (T, B, K, C); frame 0 of the script is the time of `first`."""
    stride = backbone.stride
    anchors, known = [first], layout(scene)
    for a in range(n_frames // stride):
        ahead = script.starting_at(a * stride)
        anchors.append(backbone.leap(anchors[-1], scene, ahead, stride, predict=predict, known=known))
    found: dict[int, Tensor] = {a * stride: tokens.latest for a, tokens in enumerate(anchors) if a}
    found |= _between(backbone, anchors[:1], scene, script, [0], n_frames, predict)
    # Apart from the first: it has no tokens before it, so its sequence is shorter.
    found |= _between(backbone, anchors[1:], scene, script, list(range(1, len(anchors))), n_frames, predict)
    return torch.stack([found[frame] for frame in range(1, n_frames + 1)])


def _between(
    backbone: Backbone, anchors: list[Tokens], scene: Scene, script: Script, numbers: list[int], n_frames: int,
    predict: Predict | None,
) -> dict[int, Tensor]:  # fmt: skip
    """Tokens (B, K, C) of the frames that less than a stride lies before, by frame; all in one call of the predictor."""
    stride, b = backbone.stride, scene.n_scenes
    wanted = {a * stride + k for a in numbers for k in range(1, stride) if a * stride + k <= n_frames}
    if not wanted:
        return {}
    parts = [k for k in range(1, stride) if any(a * stride + k in wanted for a in numbers)]
    many = _repeated(scene, script, [a * stride for a in numbers], stride)
    known = layout(many)
    told, there = zip(*(script_tokens(many, many.script, k, backbone.units, known) for k in parts), strict=True)
    condition = [backbone.foreknown(backbone.units, many, k, stride) for k in parts]
    latest, identity = (torch.cat([getattr(t, name) for t in anchors]) for name in ("latest", "identity"))
    before, age = None, None
    if anchors[0].before is not None:
        before = torch.cat([t.before for t in anchors if t.before is not None]).repeat(len(parts), 1, 1)
        ages = [t.age / stride for t in anchors for _ in range(b)]
        age = latest.new_tensor(ages).unsqueeze(-1).repeat(len(parts), 1)
    then = (predict or backbone.predictor)(
        latest.repeat(len(parts), 1, 1), identity.repeat(len(parts), 1, 1), before, age,
        torch.cat(told), torch.cat(there), torch.cat(condition),
    ).unflatten(0, (len(parts), len(numbers), b))  # fmt: skip
    return {
        a * stride + k: then[i, j]
        for i, k in enumerate(parts)
        for j, a in enumerate(numbers)
        if a * stride + k in wanted
    }


def _repeated(scene: Scene, script: Script, starts: list[int], frames: int) -> Scene:
    """The scenes once for each start, with the script from there on; where it ends sooner, its last frame again."""
    many = scene.select(list(range(scene.n_scenes)) * len(starts))
    rows = torch.arange(frames + 1, device=scene.device).unsqueeze(-1) + torch.tensor(starts, device=scene.device)
    rows = rows.clamp(max=script.n_frames - 1)
    return many.with_script(script._map(lambda _, x: x[rows].flatten(1, 2)))
