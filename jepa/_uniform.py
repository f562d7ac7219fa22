"""The matter of films filled up to one size (surrogates/_uniform.py): found once for every scene of a training, then looked up.

What fills a scene up has no place in its tables, so that nothing is gathered from it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..contracts import Scene
from ..surrogates._uniform import Table, Uniform
from ._layout import Layout
from ._moment import Matter, Packing

NODE_FIELDS = ("rest", "shaped", "meshed", "mass")
SCENE_FIELDS = ("chosen", "found")


def tables(matter: Matter, films: Uniform) -> dict[str, Table]:
    """The matter of all scenes as a table a field."""
    scene, known, packing = films.scene, matter.layout, matter.packing
    held = {name: Table(films.filled(getattr(matter, name), "node", 0.0)) for name in NODE_FIELDS}
    held |= {name: Table(getattr(matter, name)) for name in SCENE_FIELDS}
    for name, places, there, ptr, into in (
        ("index", packing.index, packing.there, scene.scene_ptr, "node"),
        ("solid", known.solid, known.solid_there, scene.obstacle_ptr, "obstacle"),
        ("driven", known.driven, known.driven_there, scene.ptr("driven"), "driven"),
    ):
        held[name] = Table(torch.where(there, places - ptr[:-1, None], 0), into=into)
        held[f"{name}_there"] = Table(there)
    return held


def matter_from(held: Mapping[str, Tensor], scene: Scene) -> Matter:
    """The matter of a batch, from what tables say of its scenes; asks the device nothing."""
    b = scene.n_scenes

    def by_scene(name: str) -> Tensor:
        return held[name].view(b, len(held[name]) // b)

    each = torch.arange(b, device=scene.device)
    owner = each.repeat_interleave(len(scene.obstacle_kind) // b)
    layout = Layout(by_scene("solid"), by_scene("solid_there"), owner, by_scene("driven"), by_scene("driven_there"))
    packing = Packing(by_scene("index"), by_scene("index_there"))
    nodes = {name: held[name] for name in NODE_FIELDS}
    chosen, found = (by_scene(name) for name in SCENE_FIELDS)
    return Matter(packing, **nodes, chosen=chosen, found=found, layout=layout, bodies=len(scene.body_scene))
