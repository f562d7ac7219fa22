"""One file per specialist or baseline; the file name is the model's name. The functions here are about those of jepa/ as well.

A file exports `build(domain, *, size, seed, **settings) -> Surrogate`, `KIND`, `DOMAINS` ("*" for all), and, where there is
something to learn, `train(run: Run, **settings) -> Surrogate`. It may export `SCOPE`: "each" when it learns one domain at a time,
as it does by default, or "all" when it learns all domains of a run at once, one set of weights for all; its domain is then their
names joined by "+". It may export `VARIANTS`, presets by name: FILE-VARIANT is the model with these settings. Nothing else needs
to know of it. Importing this package is light: torch loads when a function is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from ..contracts import Model, Track
    from ..contracts.deadline import Deadline
    from ._base import Setting, Tuned

__all__ = ["create", "load", "names", "note", "preset", "save", "scope", "train", "trainable", "variants"]


def names() -> list[str]:
    """Names of all files that are models, sorted."""
    from ..contracts import registry

    return registry.model_names()


def variants(name: str) -> list[str]:
    """Full names of the variants of a model's file. Raises MisuseError for an unknown name."""
    from ..contracts import registry

    return [f"{name}-{variant}" for variant in registry.variant_names(registry.model(name))]


def scope(name: str) -> str:
    """ "each" for a model that is trained on one domain at a time, "all" for one trained once on all.

    Raises MisuseError naming what exists for an unknown file or variant.
    """
    from . import _store

    return _store.scope(name)


def note(name: str) -> str:
    """What a variant is for, in a line; empty for a plain file. Raises MisuseError as `scope` does."""
    from . import _store

    return _store.variant(name).note


def trainable(name: str) -> bool:
    """Whether a model has anything to learn. Raises MisuseError for an unknown name."""
    from ..contracts import registry

    return hasattr(registry.model(name), "train")


def preset(name: str, domain: str, size: str) -> Mapping[str, Setting]:
    """The settings of a model in a size, with those of its variant. Raises MisuseError as `create` does."""
    from . import _store

    return dict(_store.create(name, domain, size=size, seed=0).settings)


def create(name: str, domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> Model:
    """An untrained model for a domain, or for several joined by "+"; `settings` override those of its variant and its size.

    Raises MisuseError for an unknown name, variant, size or setting, and for a domain that the model does not continue.
    """
    from . import _store

    return _store.create(name, domain, size=size, seed=seed, **settings)


def train(
    name: str,
    data: Mapping[str, Path],
    track: Track,
    *,
    seed: int,
    out: Path,
    device: str | torch.device = "cpu",
    progress: Callable[[int, int, float], None] | None = None,
    deadline: Deadline | None = None,
    tuned: Tuned | None = None,
) -> Model:
    """Train a model and save it, with its log, into `out`. `data` holds the folder of each domain's data set.

    One domain for a model whose scope is "each", one or more for one whose scope is "all". `tuned` are settings that trials chose;
    the card says which, and what they cost.

    An interrupted training resumes to the same weights (bitwise on a CPU); a finished `out` is loaded as it is. At the deadline it
    stops with a checkpoint and raises TimeUp.

    Raises MisuseError when the model has nothing to learn or cannot learn these domains, and when `out` holds the training of
    something else.
    """
    from . import _store

    return _store.train(
        name, data, track, seed=seed, out=out, device=device, progress=progress, deadline=deadline, tuned=tuned
    )


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
