"""Models by name, and on disk: weights.safetensors and model.json. Behind the functions of the package, which import lazily."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from .. import datasets
from ..contracts import MisuseError, ModelCard, Track, registry
from ..contracts.card import knows
from ..contracts.deadline import Deadline
from ..contracts.strict_json import read_object
from ..datasets import foreign
from . import _processes
from ._base import Data, Run, Setting, Surrogate, Tuned, Variant, joined, manifest_of
from ._files import require_tensors, write, write_json

FORMAT = 1
SCOPES = ("each", "all")
MOST_SETTING = 4096
"""Of a setting that comes from a file, or of its length: no layer of ours is wider, and no network deeper."""
FOREIGN_VALID = 16
"""Pieces of a foreign set's split `valid` that trainings judge by; of hedgefox's own sets all are read."""
WEIGHTS, DESCRIPTION, JOB = "weights.safetensors", "model.json", "job.json"


def variant(name: str) -> Variant:
    """The variant that a full name asks for; nothing is set in the one of a plain name."""
    file, asked = registry.model(name), name.partition("-")[2]
    found: Variant = file.VARIANTS[asked] if asked else Variant({})
    return found


def scope(name: str) -> str:
    """See the package."""
    found = variant(name).scope or getattr(registry.model(name), "SCOPE", SCOPES[0])
    if found not in SCOPES:
        raise MisuseError(f"the scope of {name} is {found!r}; one of {', '.join(SCOPES)} is right")
    return found


def create(name: str, domain: str, *, size: str, seed: int, **settings: Setting) -> Surrogate[Any]:
    """See the package."""
    wanted = {**variant(name).settings, **settings}
    return _named(_fitting(name, domain).build(domain, size=size, seed=seed, **wanted), name)


def _named(model: Surrogate[Any], name: str) -> Surrogate[Any]:
    """The model with its full name on its card, and what it is a size of: its file knows only its own."""
    equal = variant(name).equal
    size_of = name.partition("-")[0] if equal else ""
    model.card = dataclasses.replace(model.card, name=name, size_of=size_of, equal=equal)
    return model


def _fitting(name: str, domain: str) -> ModuleType:
    """The file of a model that continues the domain, or all of several joined; raises MisuseError when it does not."""
    file = registry.model(name)
    if not knows(file.DOMAINS, domain):
        raise MisuseError(f"{name} continues {', '.join(file.DOMAINS)}; it knows nothing of {domain}")
    if "+" in domain and scope(name) != "all":
        raise MisuseError(f"{name} learns one domain at a time; choose one of {domain.replace('+', ', ')}")
    return file


def save(model: Any, folder: Path) -> None:
    """See the package."""
    if not isinstance(model, Surrogate):
        raise MisuseError(f"cannot save a {type(model).__name__}; models of surrogates/ can be saved")
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    folder = Path(folder)
    write(folder / WEIGHTS, to_bytes(tensors))
    # The description is written last: it says that the weights are complete.
    content = {
        "format": FORMAT,
        "model": model.card.name,
        "domain": model.domain,
        "settings": model.settings,
        "card": model.card.to_dict(),
    }
    write_json(folder / DESCRIPTION, content)


def load(folder: Path, device: str | torch.device = "cpu") -> Surrogate[Any]:
    """See the package."""
    folder = Path(folder)
    content = _read_description(folder / DESCRIPTION)
    card = ModelCard.from_dict(content["card"])
    with torch.device("meta"):
        # First without memory: what a file from elsewhere asks for may be of any size, and must be what its weights are of.
        blank = _created(content, folder / DESCRIPTION)
    require_tensors(folder / WEIGHTS, {k: (tuple(v.shape), v.dtype) for k, v in blank.state_dict().items()})
    model = _created(content, folder / DESCRIPTION)
    model.load_state_dict(load_file(folder / WEIGHTS))
    model.card = card
    return model.to(device).eval()


def _created(content: dict[str, Any], path: Path) -> Surrogate[Any]:
    """The model that a description asks for; raises MisuseError for whatever keeps it from being made."""
    try:
        return create(content["model"], content["domain"], size="s", seed=0, **content["settings"])
    except MisuseError as error:
        raise MisuseError(f"{path}: {error}") from error
    except (TypeError, ValueError, ArithmeticError, RuntimeError, LookupError, AssertionError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise MisuseError(f"{path} asks for a model that cannot be made: {type(error).__name__}: {said}") from error


def _read_description(path: Path) -> dict[str, Any]:
    try:
        content = read_object(path)
    except MisuseError as error:
        raise MisuseError(f"{path.parent} holds no saved model: {error}") from error
    missing = sorted({"format", "model", "domain", "settings", "card"} - set(content))
    if missing:
        raise MisuseError(f"{path} lacks {missing[0]!r}; it is not a saved model")
    if content["format"] != FORMAT:
        raise MisuseError(f"{path} has format {content['format']}; this version reads format {FORMAT}")
    for name, kind in {"model": str, "domain": str, "settings": dict, "card": dict}.items():
        if not isinstance(content[name], kind):
            raise MisuseError(f"{path}: {name} is {content[name]!r}; a {kind.__name__} is right")
    for name, value in content["settings"].items():
        size = len(value) if isinstance(value, list | str) else abs(value) if isinstance(value, int | float) else 0
        if size > MOST_SETTING:
            raise MisuseError(f"{path}: setting {name!r} is {value!r}; at most {MOST_SETTING} is right")
    return content


def train(
    name: str,
    data: Mapping[str, Path],
    track: Track,
    *,
    seed: int,
    out: Path,
    device: str | torch.device,
    progress: Callable[[int, int, float], None] | None,
    deadline: Deadline | None = None,
    tuned: Tuned | None = None,
) -> Surrogate[Any]:
    """See the package."""
    if not hasattr(_fitting(name, joined(data)), "train"):
        raise MisuseError(f"{name} has nothing to learn; create it instead")
    manifests = {domain: _manifest(folder) for domain, folder in data.items()}
    job = {
        "model": name,
        "domain": joined(data),
        "data": manifest_of(manifests),
        "track": track.name,
        "size": track.size,
        "steps": track.training_steps,
        "seed": seed,
    }
    settings = {} if tuned is None else dict(tuned.settings)
    if settings:
        job["settings"] = settings
    if track.training_seconds:
        job["seconds"] = track.training_seconds
        _require_device(track, torch.device(device))
    out = Path(out)
    with _processes.together(torch.device(device)):
        if _processes.place() == 0:
            claim(out, job)
        _processes.wait()
        if (out / DESCRIPTION).exists():
            return load(out, device)
        held = {domain: read_data(folder, manifests[domain], device) for domain, folder in data.items()}
        where = (out, torch.device(device), progress, settings, tuned, deadline or Deadline())
        return learn(Run(name, held, track, seed, *where))


def _require_device(track: Track, device: torch.device) -> None:
    """Raise MisuseError for a training whose time is fixed on another kind of device than the track's."""
    if device.type != track.machine:
        raise MisuseError(
            f"track {track.name!r} gives a training {track.training_seconds:g} s on {track.machine}; on {device.type} they would "
            f"be others. `hedgefox run --track {track.name} --device cpu` rehearses all of it"
        )


def _manifest(folder: Path) -> str:
    """The hash of what one data set holds, in hedgefox's layout or in another."""
    found = foreign.recognised(folder)
    return datasets.manifest_hash(folder) if found is None else found.manifest


def read_data(folder: Path, manifest: str, device: str | torch.device) -> Data:
    """What a training reads of one data set."""
    found = foreign.recognised(folder)
    if found is not None:
        return Data(found.load("train", device), found.load("valid", device, most=FOREIGN_VALID), manifest)
    return Data(datasets.load(folder, "train", device), datasets.load(folder, "valid", device), manifest)


def learn(run: Run) -> Surrogate[Any]:
    """Train on data in memory and save: what `train` does once the data are read."""
    settings = {**variant(run.name).settings, **run.settings}
    model = _named(registry.model(run.name).train(run, **settings), run.name)
    model.card = _with_settings(model, run.tuned)
    model.eval()
    _processes.wait()
    if _processes.place() == 0:
        save(model, run.out)
    return model


def _with_settings(model: Surrogate[Any], tuned: Tuned | None) -> ModelCard:
    """The card of a model that was trained, with the batch size and learning rate that it was trained with."""
    said: dict[str, Any] = {name: model.settings.get(name) for name in ("batch_size", "learning_rate")}
    if tuned is not None:
        said |= {"tuning": tuned.how, "tuning_device_seconds": tuned.device_seconds}
    return dataclasses.replace(model.card, **said)


def claim(out: Path, job: dict[str, Any]) -> None:
    """Note what a folder is for; raises MisuseError when it is for something else, naming both."""
    path = out / JOB
    if not path.exists():
        write_json(path, job)
        return
    found = read_object(path)
    # Settings are noted where they are others than the preset's, so that they may be in either alone.
    for key in (*job, *({"settings"} & (set(found) - set(job)))):
        if found.get(key) != job.get(key):
            raise MisuseError(f"{out} holds a training with {key} {found.get(key)!r}; this one has {job.get(key)!r}")
