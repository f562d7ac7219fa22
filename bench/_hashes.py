"""The hash by which records know a training: of what it saved."""

from __future__ import annotations

import hashlib
from pathlib import Path


def folder_hash(folder: Path) -> str:
    """SHA-256 of a saved model's weights and description."""
    digest = hashlib.sha256()
    for name in ("weights.safetensors", "model.json"):
        if (folder / name).is_file():
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()
