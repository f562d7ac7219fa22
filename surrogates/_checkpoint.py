"""What a checkpoint must hold before a training goes on from it: the file may be torn, of another training, or from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ..contracts import MisuseError
from ..contracts.strict_json import parse
from ._files import read_tensors, write

MOST_BYTES = 15 << 20
"""Of tensors in one file: what carries a run from one machine to another may take 16 MiB a file and no more."""
PART = re.compile(r"-[0-9]{1,16}-[0-9]{1,4}\.safetensors")
ADVICE = "delete it to begin the training anew"
GENERATOR = "generator"


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
    """Write tensors, and numbers in the header, whole or not at all; what is too large for one file into parts beside it.

    The file that names the parts is written last, and those that it does not name go after it.
    """
    first, *more = _apart(tensors)
    named = {f"{path.stem}-{numbers['step']}-{k}{path.suffix}": part for k, part in enumerate(more, 1)}
    for name, part in named.items():
        write(path.with_name(name), to_bytes(part))
    told = {**numbers, "parts": list(named)} if named else numbers
    write(path, to_bytes(first, {"state": json.dumps(told)}))
    for old in path.parent.glob(f"{path.stem}-*{path.suffix}"):
        if old.name not in named and PART.fullmatch(old.name.removeprefix(path.stem)):
            old.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a checkpoint, of all its parts, and its numbers; raises MisuseError for what is none."""
    tensors, texts = read_tensors(path)
    numbers = checked_numbers(texts, path)
    for name in numbers.get("parts", []):
        tensors |= read_tensors(path.with_name(name))[0]
    return tensors, numbers


def _apart(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The tensors in as few groups as their order allows, each of at most MOST_BYTES; at least one."""
    groups: list[dict[str, Tensor]] = [{}]
    held = 0
    for name, value in tensors.items():
        size = value.numel() * value.element_size()
        if groups[-1] and held + size > MOST_BYTES:
            groups.append({})
            held = 0
        groups[-1][name] = value
        held += size
    return groups


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
    parts = found.get("parts", [])
    named = isinstance(parts, list) and all(isinstance(p, str) and p.startswith(path.stem) for p in parts)
    if not named or not all(PART.fullmatch(p.removeprefix(path.stem)) for p in parts):
        raise MisuseError(f"{path}: its parts are {parts!r}; names of files beside it are right; {ADVICE}")
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
