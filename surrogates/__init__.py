"""One file per specialist or baseline; the file name is the model's name.

A file exports `build(domain, *, size, seed, **settings) -> Surrogate`, `KIND`, `DOMAINS` ("*" for all), and, where there is
something to learn, `train(run: Run) -> Surrogate`. Nothing else needs to know of it. Importing this package is light: torch
loads when a function is called.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from ..contracts import Model, Track
    from ._base import Setting

__all__ = ["create", "load", "names", "save", "train", "trainable"]


def names() -> list[str]:
    """Names of all models, sorted."""
    from ..contracts import registry

    return registry.names("surrogates")


def trainable(name: str) -> bool:
    """Whether a model has anything to learn. Raises MisuseError for an unknown name."""
    from . import _store

    return hasattr(_store.module(name), "train")


def create(name: str, domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> Model:
    """An untrained model for a domain; `settings` override those of the size.

    Raises MisuseError for an unknown name, size or setting, and for a domain that the model does not continue.
    """
    from . import _store

    return _store.create(name, domain, size=size, seed=seed, **settings)


def train(
    name: str,
    domain: str,
    data: Path,
    track: Track,
    *,
    seed: int,
    out: Path,
    device: str | torch.device = "cpu",
    progress: Callable[[int, int, float], None] | None = None,
) -> Model:
    """Train a model on the folder of one domain's data set and save it, with its log, into `out`.

    An interrupted training resumes to the same weights (bitwise on a CPU); a finished `out` is loaded as it is.

    Raises MisuseError when the model has nothing to learn, and when `out` holds the training of something else.
    """
    from . import _store

    return _store.train(name, domain, data, track, seed=seed, out=out, device=device, progress=progress)


def save(model: Model, folder: Path) -> None:
    """Write a model as weights.safetensors and model.json; each file appears whole or not at all."""
    from . import _store

    _store.save(model, folder)


def load(folder: Path, device: str | torch.device = "cpu") -> Model:
    """Read a saved model. Only numbers and settings are read: nothing is unpickled and no code beside them is run.

    Raises MisuseError when the folder holds no model, or one that does not fit its name.
    """
    from . import _store

    return _store.load(folder, device)
