"""What a checkpoint must hold before a training goes on from it: the file may be torn, of another training, or from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..contracts import MisuseError
from ..contracts.strict_json import parse

ADVICE = "delete it to begin the training anew"
GENERATOR = "generator"


def checked_numbers(texts: Mapping[str, str], path: Path) -> dict[str, Any]:
    """The numbers in a checkpoint's header; raises MisuseError when one is missing or of another kind."""
    if "state" not in texts:
        raise MisuseError(f"{path} is no checkpoint: it does not say how far the training was; {ADVICE}")
    found = parse(texts["state"], f"the header of {path}")
    if not isinstance(found, dict):
        raise MisuseError(f"the header of {path} is {found!r}; an object is right; {ADVICE}")
    for name in ("step", "best_step"):
        if type(found.get(name)) is not int or not 0 <= found[name] < 1 << 53:
            raise MisuseError(f"{path}: {name} is {found.get(name)!r}; a number of steps is right; {ADVICE}")
    for name in ("seconds", "best_ratio"):
        value = found.get(name)
        if type(value) not in (int, float) and not (name == "best_ratio" and value is None):
            raise MisuseError(f"{path}: {name} is {value!r}; a number is right; {ADVICE}")
    lines = found.get("log")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise MisuseError(f"{path}: its log is no list of lines; {ADVICE}")
    return found


def require_resumable(tensors: Mapping[str, Tensor], model: nn.Module, best: bool, path: Path) -> None:
    """Raise MisuseError when a checkpoint's tensors are not those of this model, its best weights and its optimiser."""
    weights = model.state_dict()
    right: dict[str, Tensor] = {f"model.{k}": v for k, v in weights.items()}
    right |= {f"best.{k}": v for k, v in weights.items()} if best else {}
    for k, parameter in enumerate(model.parameters()):
        # A parameter that is not trained has none of the three.
        if any(f"adam.{k}.{part}" in tensors for part in ADAM):
            right |= {f"adam.{k}.{part}": torch.zeros(()) if part == "step" else parameter for part in ADAM}
    for name, value in right.items():
        _require_like(name, tensors.get(name), value, path)
    for name in tensors:
        if name not in right and name != GENERATOR:
            raise MisuseError(f"{path} holds {name!r}, which this training does not have; {ADVICE}")
    if GENERATOR not in tensors:
        raise MisuseError(f"{path} holds no state of a generator; {ADVICE}")


ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam keeps of each parameter."""


def _require_like(name: str, found: Tensor | None, right: Tensor, path: Path) -> None:
    if found is None:
        raise MisuseError(f"{path} lacks {name!r}; {ADVICE}")
    if found.shape != right.shape or found.dtype != right.dtype:
        said, wanted = (f"{x.dtype} of shape {tuple(x.shape)}" for x in (found, right))
        raise MisuseError(f"{path}: {name} is {said}; {wanted} is right; {ADVICE}")
