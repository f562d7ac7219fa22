"""Files that are there whole or not at all, even through a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..contracts import MisuseError

NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
"""What safetensors calls the types of tensors."""
Form = tuple[tuple[int, ...], torch.dtype]
"""Shape and type of a tensor."""


def write(path: Path, content: bytes) -> None:
    """Write bytes beside the place, flush them to disk, and move them there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".tmp")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """As `write`, for strict JSON."""
    write(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def require_tensors(path: Path, expected: Mapping[str, Form]) -> None:
    """Raise MisuseError when a file of tensors does not hold just these, of these shapes and types. Reads its header alone."""
    found = _header(path)
    for name in expected:
        if name not in found:
            raise MisuseError(f"{path} lacks the tensor {name!r} of the model that it should hold")
    for name, (shape, kind) in found.items():
        if name not in expected:
            raise MisuseError(f"{path} holds the tensor {name!r}, which the model does not have")
        right_shape, right_kind = expected[name][0], NAMES.get(expected[name][1])
        if (shape, kind) != (right_shape, right_kind):
            raise MisuseError(
                f"{path}: {name} is {kind} of shape {shape}; {right_kind} of shape {right_shape} is right"
            )


def _header(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shapes and types by name."""
    if not path.is_file():
        raise MisuseError(f"{path} does not hold tensors: it is no file")
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {name: (tuple(cut.get_shape()), cut.get_dtype()) for name, cut in slices.items()}
    except (OSError, SafetensorError) as error:
        raise MisuseError(f"{path} does not hold tensors: {error}") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a file on the CPU, and its texts by name; raises MisuseError for a file of anything else."""
    if not path.is_file():
        raise MisuseError(f"{path} does not hold tensors: it is no file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, TypeError, RuntimeError) as error:
        raise MisuseError(f"{path} does not hold tensors: {error}") from error
