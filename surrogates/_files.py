"""Files that are there whole or not at all, even through a kill."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


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
