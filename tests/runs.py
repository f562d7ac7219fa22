"""A small run that many tests look at, and its record changed and written elsewhere."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from hedgefox.contracts import track

TINY = dataclasses.replace(track("smoke"), training_steps=4, only=("persistence", "constant_velocity", "linear"))
"""The baselines alone: others would only take time."""


def rewritten(folder: Path, record: dict[str, Any]) -> Path:
    """A folder that holds a record and nothing else of its run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(json.dumps(record))
    return folder
