"""`score` and `speed` of models named by a user: one domain, one record. `run` does all of it for every contestant."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..contracts import (
    CheckFailed,
    Domain,
    MisuseError,
    Model,
    PhysicsCheck,
    Recipe,
    Track,
    Trajectory,
    registry,
    stack,
)
from ..contracts import track as track_named
from ..contracts.nearest import one_of
from ..contracts.strict_json import read_object
from . import environment
from ._assemble import failure, failures_of, write_record
from .contestants import REFERENCE, Contestant, handed_over, resolve
from .entries.admission import films_on_the_spot, require_admissible
from .entries.predictions import Predictions
from .score import Score, prepare, score_case
from .timing.clock import Effort
from .timing.speed import speed_case

Progress = Callable[[int, int], None]
DESCRIPTION = "dataset.json"
"""What every data set's folder holds."""


def score(
    models: Sequence[str | Path | Model],
    data: str | Path,
    out: str | Path | None = None,
    *,
    domain: str | Domain | None = None,
    track: str | Track | None = None,
    splits: Sequence[str] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    pretrained: Sequence[str] = (),
    results: str | Path | None = None,
) -> dict[str, Any]:
    """Score models on one domain's data; returns the record, and writes it with its curves into `out` when given.

    A model is a Model, a folder of weights or of predictions, a Python file of your own, the name of a surrogate that needs no
    training, a rung of the ladder, or "reference". Domain and track default to those of the data; `splits` to all but train and
    valid. A Model, or one from a file, is checked first (bench/entries/admission.py). `pretrained` names weights that the records
    below `results` hold (bench/pretrained.py), which compete beside the models.

    Raises MisuseError for an unknown model, split or device, and for data that are not a data set; CheckFailed when such a
    model breaks the contract of a model, and when recorded weights are not those that were scored.
    """
    from ..datasets import load, manifest_hash

    folder = Path(data)
    config = data_config(folder)
    kind = registry.domain(config["domain"] if domain is None else domain)
    chosen_track = _track(config["track"] if track is None else track)
    _require_size(folder, config, chosen_track)
    models = [*models, *_recorded(pretrained, results, kind.name, chosen_track.size)]
    recipe = kind.recipe(chosen_track.size)
    who = _contestants(models, kind, recipe, chosen_track, environment.require_device(device))
    chosen = _splits(config, splits)
    for foretold in (c.model for c in who if isinstance(c.model, Predictions)):
        foretold.require_splits(chosen)
    # Films to check on, of the split with the most scenes: one alone proves little.
    _check(who, recipe, lambda: load(folder, max(chosen, key=config["trajectories"].__getitem__), device))
    _claim(out)
    started, scores = time.perf_counter(), list[Score]()
    with _cards_kept(who):
        for k, split in enumerate(chosen):
            case = prepare(kind, split, load(folder, split, device), recipe, device=device)
            scores += score_case(case, who, progress=_part(progress, k, len(chosen)))
    return write_record(
        None if out is None else Path(out),
        track=chosen_track,
        device=device,
        domains=[kind],
        manifests={kind.name: manifest_hash(folder)},
        contestants={kind.name: who},
        scores=scores,
        speed=[],
        seconds={"score": time.perf_counter() - started},
        failures=failures_of(scores),
    )


def speed(
    models: Sequence[str | Path | Model],
    out: str | Path | None = None,
    *,
    domain: str | Domain | None = None,
    track: str | Track = "quick",
    device: str = "cpu",
    progress: Progress | None = None,
    pretrained: Sequence[str] = (),
    results: str | Path | None = None,
) -> dict[str, Any]:
    """Time models and the reference on one domain; returns the record, and writes it into `out` when given.

    Models as for `score`, but no predictions; the domain defaults to the one that a folder of weights was trained on. Starts are
    the first scenes of the split `test`. Raises as `score` does.
    """
    chosen_track = _track(track)
    asked = domain if domain is None or isinstance(domain, str) else domain.name
    models = [*models, *_recorded(pretrained, results, asked, chosen_track.size)]
    kind = registry.domain(_domain_of(models) if domain is None else domain)
    recipe = kind.recipe(chosen_track.size)
    wanted = [REFERENCE, *(m for m in models if m != REFERENCE)]
    who = _contestants(wanted, kind, recipe, chosen_track, environment.require_device(device))
    for each in who:
        _require_timeable(each)
    _check(who, recipe, lambda: films_on_the_spot(kind, recipe, chosen_track.root_seed, device))
    _claim(out)
    started = time.perf_counter()
    with _cards_kept(who):
        entries, failed = speed_case(
            _starts(kind, recipe, chosen_track, device),
            recipe.horizon,
            who,
            Effort(chosen_track.timing_samples, chosen_track.timing_sample_seconds),
            batches=chosen_track.timing_batches,
            progress=progress,
        )
    lost = {key: next(c for c in who if c.key == key) for key in failed}
    return write_record(
        None if out is None else Path(out),
        track=chosen_track,
        device=device,
        domains=[kind],
        manifests={},
        contestants={kind.name: who},
        scores=[],
        speed=[{"domain": kind.name, **e} for e in entries],
        seconds={"speed": time.perf_counter() - started},
        failures=[failure("speed", kind.name, failed[k], model=c.name, seed=c.seed) for k, c in lost.items()],
    )


def _recorded(
    names: Sequence[str], results: str | Path | None, domain: str | None, size: str
) -> list[str | Path | Model]:
    """Folders of the weights that records hold under some names."""
    from .pretrained import folder_of

    return [folder_of(name, results, domain=domain, size=size) for name in names]


def validate(domain: str | Domain, full: bool = False) -> list[PhysicsCheck]:
    """A simulator against physics: measured numbers and the bands they must lie in. `full` adds what takes minutes."""
    return registry.domain(domain).validate(full=full)


def _claim(out: str | Path | None) -> None:
    """Make the folder of a record before anything is measured for it; raises OSError where that cannot be."""
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)


def data_config(folder: Path) -> dict[str, Any]:
    """What a data set was made as: domain, track, size, numbers of trajectories; MisuseError for what is no data set."""
    path = folder / DESCRIPTION
    try:
        config = read_object(path)["config"]
        kinds = {"domain": str, "track": str, "size": str, "trajectories": dict}
        wrong = [name for name, kind in kinds.items() if not isinstance(config[name], kind)]
        if wrong:
            raise TypeError(f"{wrong[0]} is {config[wrong[0]]!r}")
        return {name: config[name] for name in kinds}
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = "is not a data set" if folder.exists() else "is not there"
        raise MisuseError(f"{folder} {what}; give the folder DOMAIN/ that `hedgefox generate` wrote") from error


def training_track(data: Mapping[str, Path], asked: str | Track | None) -> Track:
    """The track by which a model is trained on data, by domain: the one asked for, else that of the first of the data, or of data
    in other layouts the one that sets their sizes and steps.

    Raises MisuseError for an unknown one, for what is no data set, and for a track of scenes of another size than the data's, which
    `score` would refuse after the training.
    """
    from ..datasets.foreign import recognised
    from .suites.score import TRACK

    own = {folder: data_config(folder) for folder in data.values() if recognised(folder) is None}
    track = _track(asked if asked is not None else next((c["track"] for c in own.values()), TRACK))
    for folder, config in own.items():
        _require_size(folder, config, track)
    return track


def _require_size(folder: Path, config: dict[str, Any], track: Track) -> None:
    if track.size != config["size"]:
        raise MisuseError(
            f"the data in {folder} are of size {config['size']!r}; track {track.name!r} is of {track.size!r}: "
            f"track {config['track']!r} is right for them"
        )


def training_data(model: str, folder: Path, domain: str | None = None) -> dict[str, Path]:
    """What a model is to be trained on, by domain: a data set, or those in a folder of several, of which `domain` picks one;
    or a set in another layout.

    Raises MisuseError when there is none, and when there are several for a model that learns one domain at a time.
    """
    from .. import surrogates
    from ..datasets.foreign import recognised

    other = recognised(folder)
    found = data_sets(folder) if other is None else {other.domain: folder}
    if domain is not None and domain not in found:
        raise MisuseError(f"the data are of {_listed(found)}; --domain says {domain!r}")
    chosen = found if domain is None else {domain: found[domain]}
    if len(chosen) > 1 and surrogates.scope(model) == "each":
        raise MisuseError(
            f"{model} learns one domain at a time and {folder} holds {_listed(chosen)}; give one with --domain"
        )
    return chosen


def data_sets(folder: Path) -> dict[str, Path]:
    """The data set in a folder, or those in the folders directly below it, by domain; raises MisuseError when there is none."""
    parts = [] if (folder / DESCRIPTION).exists() else [path.parent for path in sorted(folder.glob(f"*/{DESCRIPTION}"))]
    found: dict[str, Path] = {}
    for part in parts or [folder]:
        name = data_config(part)["domain"]
        if name in found:
            raise MisuseError(f"{found[name]} and {part} are both of domain {name!r}; give one of them")
        found[name] = part
    return found


def _listed(names: Iterable[str]) -> str:
    return " and ".join(repr(name) for name in names)


def _part(progress: Progress | None, part: int, parts: int) -> Progress | None:
    """Progress within one of several equal parts, told as progress of the whole."""
    if progress is None:
        return None
    return lambda done, total: progress(part * total + done, parts * total)


def _track(track: str | Track) -> Track:
    return track_named(track) if isinstance(track, str) else track


def _splits(config: dict[str, Any], splits: Sequence[str] | None) -> list[str]:
    held = list(config["trajectories"])
    if splits is None:
        return [s for s in held if s not in ("train", "valid")]
    for split in splits:
        if split not in held:
            raise MisuseError(f"the data have no split {split!r}; {one_of(split, held)}")
    return list(splits)


def _contestants(
    models: Sequence[str | Path | Model], domain: Domain, recipe: Recipe, track: Track, device: str
) -> list[Contestant]:
    if not models:
        raise MisuseError("no model was given; name at least one")
    found: list[Contestant] = []
    for spec in models:
        if isinstance(spec, Model):
            found.append(handed_over(spec, domain, recipe, device))
        else:
            found.append(resolve(str(spec), domain, recipe, size=track.size, device=device))
    keys = [c.key for c in found]
    for key in keys:
        if keys.count(key) > 1:
            raise MisuseError(f"model {key!r} was given twice; give each once")
    return found


def _check(who: Sequence[Contestant], recipe: Recipe, films: Callable[[], Trajectory]) -> None:
    """Check what comes from a user's own file or as an object, on films that are asked for when there is something to check."""
    entered = [each for each in who if each.origin is not None]
    film = films() if entered else None
    for each in entered:
        assert film is not None
        require_admissible(each, film, recipe)


@contextmanager
def _cards_kept(who: Sequence[Contestant]) -> Iterator[None]:
    """Raise CheckFailed when a contestant's card is another one after it was measured: a record holds what was checked."""
    before = [each.model.card for each in who]
    yield
    for each, card in zip(who, before, strict=True):
        if each.model.card != card:
            raise CheckFailed(f"{each.origin}: the card of {card.name} changed while the model was measured")


def _require_timeable(contestant: Contestant) -> None:
    if isinstance(contestant.model, Predictions):
        raise MisuseError(
            f"{contestant.model.folder} holds predictions and no model: there is nothing to time; score it instead"
        )


def _domain_of(models: Sequence[str | Path | Model]) -> str:
    """The domain that the first folder of weights among some models was trained on."""
    for spec in models:
        try:
            found = read_object(Path(str(spec)) / "model.json")["domain"]
        except (MisuseError, KeyError):
            continue
        if isinstance(found, str) and "+" in found:
            raise MisuseError(f"{spec} was trained on {found.replace('+', ', ')}; give one of them with --domain")
        if isinstance(found, str):
            return found
    raise MisuseError("which domain? give one with --domain, or a folder of weights trained on one")


def _starts(domain: Domain, recipe: Recipe, track: Track, device: str) -> Trajectory:
    """The past of the first test scenes, as many as the largest batch: the frames that every model sees."""
    number = min(max(track.timing_batches), track.trajectories["test"])
    start = stack([domain.sample_start(recipe, "test", k, track.root_seed) for k in range(number)]).to(device)
    if recipe.past == 1:
        return start
    with torch.no_grad():
        later = domain.reference(recipe, device).rollout(start, recipe.past - 1)
    return start.followed_by(later)
