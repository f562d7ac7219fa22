"""The functions of `import hedgefox as hf`: those of the command line, with what they find dressed to be looked at.

A folder may be given as text, as a Path, or as what one of these functions gave back.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from ...contracts import Domain, MisuseError, Model, Track, Trajectory
from .. import verbs
from . import things
from .table import Table, plain
from .things import Comparison, Dataset, Page, Results, Trained

Place = str | os.PathLike[str]
Progress = Callable[[int, int], None]
BOARD_KEYS = ("track", "domain", "split")


def generate(
    domain: str | Domain,
    track: Track | str,
    out: Place,
    *,
    splits: Sequence[str] | None = None,
    siblings: int = 1,
    workers: int = 1,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Dataset:
    """Simulate a track's data for one domain into `out`/DOMAIN; the same call resumes, and leaves complete data alone.

    `splits` limits the work to some splits. Of each start `siblings` trajectories are made: the plain sample, and others that
    differ from it in one parameter or in the script. `progress(done, total)` is told the trajectories finished.

    Raises MisuseError for a split, size, device or number of workers that does not exist, and for a folder of other data.
    """
    from ...datasets import generate as generated

    folder = generated(
        domain, track, Path(out), splits=splits, siblings=siblings, workers=workers, device=device, progress=progress
    )
    return Dataset(folder)


@overload
def load(folder: Place, split: None = None, device: str = "cpu") -> Any: ...
@overload
def load(folder: Place, split: str, device: str = "cpu") -> Trajectory: ...
def load(folder: Place, split: str | None = None, device: str = "cpu") -> Dataset | Trained | Results | Trajectory:
    """What lies in a folder: with `split`, all films of that split as one batch on `device`, positions (T, N, D) [m].

    Without: a data set, trained weights, or the results of all records below the folder.

    Raises MisuseError for a folder that holds none of them and a split that is not there, CheckFailed for a damaged file.
    """
    from ... import datasets, surrogates

    place = Path(folder)
    if split is not None:
        return datasets.load(place, split, device)
    if (place / verbs.DESCRIPTION).is_file():
        return Dataset(place)
    if (place / "model.json").is_file():
        return Trained(place, surrogates.load(place, device))
    return things.results(place)


def train(
    model: str,
    data: Place | Mapping[str, Place],
    track: Track | str | None = None,
    *,
    out: Place,
    seed: int = 0,
    domain: str | None = None,
    device: str = "cpu",
    progress: Callable[[int, int, float], None] | None = None,
) -> Trained:
    """Train a model on a data set, or on those in a folder of several, into `out`; the same call resumes.

    `track` sets the number of steps and defaults to that of the data; `domain` picks one data set of several.
    `progress(step, steps, loss)` is told how it goes.

    Raises MisuseError for a model that has nothing to learn or cannot learn these domains, for a track of another size than the
    data's, and where `out` holds another training.
    """
    from ... import surrogates
    from ..environment import require_device

    if isinstance(data, Mapping):
        chosen = {name: Path(place) for name, place in data.items()}
    else:
        chosen = verbs.training_data(model, Path(data), domain)
    asked = verbs.training_track(chosen, track)
    made = surrogates.train(
        model, chosen, asked, seed=seed, out=Path(out), device=require_device(device), progress=progress
    )
    return Trained(Path(out), made)


Entered = Place | Model
"""A contestant: a name, a folder, a file or an object."""


def pretrained(name: str, *, domain: str | None = None, results: Place | None = None, device: str = "cpu") -> Trained:
    """The weights that a record holds under a name, `[TRACK/][DOMAIN/]MODEL[@SEED]`, checked against it, on `device`.

    A plain MODEL is that of the best track there is; `domain` picks one of a model that is trained on each by itself. `results` is
    a folder of records, by default the one of this checkout; `hedgefox list pretrained` shows what it holds.

    Raises MisuseError for a name, domain or seed that no record holds, and CheckFailed for weights that are not those scored.
    """
    from ... import surrogates
    from ..environment import require_device
    from ..pretrained import folder_of

    place = folder_of(name, _maybe(results), domain=domain)
    return Trained(place, surrogates.load(place, require_device(device)))


def score(
    models: Entered | Sequence[Entered],
    data: Place,
    out: Place | None = None,
    *,
    domain: str | Domain | None = None,
    track: str | Track | None = None,
    splits: Sequence[str] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Results:
    """Score models on one domain's data; the record and its curves go to `out` when given.

    A model is a Model, what `train` gave back, a folder of weights or of predictions, a Python file of your own, the name of a
    surrogate that needs no training, a rung of the ladder, or "reference". Domain and track default to those of the data, `splits`
    to all but train and valid. A Model, or one from a file, is checked first.

    Raises MisuseError for an unknown model, split or device, and for data that are no data set; CheckFailed when such a model
    breaks the contract of a model.
    """
    made = verbs.score(
        _entered(models), Path(data), _maybe(out), domain=domain, track=track, splits=splits, device=device, progress=progress
    )  # fmt: skip
    return _results(made, out)


def speed(
    models: Entered | Sequence[Entered],
    out: Place | None = None,
    *,
    domain: str | Domain | None = None,
    track: str | Track = "quick",
    device: str = "cpu",
    progress: Progress | None = None,
) -> Results:
    """Time models and the reference on one domain; the record goes to `out` when given.

    Models as for `score`, but no predictions; the domain defaults to the one that a folder of weights was trained on. Raises as
    `score` does.
    """
    made = verbs.speed(_entered(models), _maybe(out), domain=domain, track=track, device=device, progress=progress)
    return _results(made, out)


def run(
    track: str | Track,
    out: Place,
    domains: Sequence[str | Domain] | None = None,
    device: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    *,
    seeds: Sequence[int] | None = None,
    only: Sequence[str] | None = None,
    timed: bool = True,
    until: float | None = None,
    tuned: Place | None = None,
) -> Results:
    """Run a track from nothing to a report in `out`; resumable. `domains` defaults to all, `seeds` to the track's, `only` (the
    learned models and baselines that compete) to all of the track's.

    Not `timed`, it measures accuracy alone. After `until` seconds it raises TimeUp, and the same call goes on. `device` is by
    default that of the track; a track of a GPU on "cpu" is a rehearsal. `tuned` is what `hedgefox tune` wrote, whose batch sizes
    and learning rates are trained with. Leaves data/, weights/, stages/, record.json, curves.parquet and report/ in `out`.

    Raises MisuseError for an unknown track, domain or device, and for a folder of another run.
    """
    from .. import record as records
    from ..run import run as ran

    folder = ran(
        track,
        Path(out),
        domains,
        device,
        progress,
        seeds=seeds,
        only=only,
        timed=timed,
        until=until,
        tuned=_maybe(tuned),
    )
    return Results(({**records.read(folder), "folders": [str(folder)]},), folder)


def leaderboard(
    folder: Place, *, track: str | None = None, domain: str | None = None, split: str | None = None
) -> Table:
    """The board of all records under a folder, ranked within each track, domain and split; narrowed to some of them.

    Raises MisuseError when the folder holds no record, and for what the board does not have.
    """
    from ..leaderboard import board

    entries = board(Path(folder))
    for key, wanted in zip(BOARD_KEYS, (track, domain, split), strict=True):
        known = list(dict.fromkeys(e.row[key] for e in entries))
        if wanted is not None and wanted not in known:
            raise MisuseError(f"the board has no {key} {wanted!r}; one of {', '.join(known)} is right")
        entries = [e for e in entries if wanted in (None, e.row[key])]
    return things.board(entries)


def compare(*what: Place) -> Comparison:
    """Two contestants of the records under a folder, `compare("jepa", "linear", folder)`; every generalist against the specialists,
    `compare(folder)`; or two records of one track, `compare(old, new)`.

    Raises MisuseError for anything else, and for models that the records do not hold.
    """
    from ..compare import compared

    asked = [os.fspath(w) for w in what]
    return Comparison(compared(asked), None if len(asked) == 2 else Path(asked[-1]))


def claims(folder: Place) -> Table:
    """What the records under a folder say of claims that people make: supported, refuted, undecided or untested, with figures.

    Raises MisuseError for a folder without records.
    """
    from ..claims import page

    found = page.judged(Path(folder))
    shown = plain("claims", [row | {"claim": c["says"]} for c, row in zip(found, page.table(found), strict=True)])
    return Table("claims", tuple(found), shown.shown)


def verify(folder: Place, domain: Domain | None = None) -> Table:
    """Everything that is wrong with a data set, a row each with its `path` and `what`; no rows when it is sound.

    Raises MisuseError when there is no such folder.
    """
    from ...datasets import verify as verified

    found = [vars(problem) for problem in verified(Path(folder), domain)]
    return plain(f"{len(found)} problems in {folder}" if found else f"{os.fspath(folder)} is sound", found)


def validate(domain: str | Domain, full: bool = False) -> Table:
    """A simulator against physics, a row a check: measured numbers, the bands they must lie in, and whether they do.

    `full` adds what takes minutes. Raises MisuseError for an unknown domain.
    """
    names = ("name", "measured", "low", "high", "unit", "expected", "source", "holds")
    found = verbs.validate(domain, full=full)
    title = f"{domain if isinstance(domain, str) else domain.name} against physics"
    return plain(title, [{n: getattr(check, n) for n in names} for check in found])


def report(folder: Place, out: Place | None = None) -> Page:
    """Write the report of all records under a folder, a page that opens from disk; into FOLDER/report unless `out` is given.

    Raises MisuseError when there is no record.
    """
    from ..report import report as reported

    return Page(reported(Path(folder), _maybe(out)))


def show(*things: Any) -> None:
    """Show each of some things: in a notebook as the value of a cell would be, elsewhere as text."""
    interactive = sys.modules.get("IPython")
    shell = None if interactive is None else interactive.get_ipython()
    if shell is not None and hasattr(shell, "kernel"):
        importlib.import_module("IPython.display").display(*things)
        return
    sys.stdout.write("".join(f"{_as_text(thing)}\n\n" for thing in things))


def _as_text(thing: Any) -> str:
    """A thing as text; of a figure what it is, since nobody reads its numbers."""
    if hasattr(thing, "to_plotly_json"):
        return f"figure: {thing.layout.title.text} ({len(thing.data)} traces); a notebook draws it, .write_html(path) keeps it"
    # Whole, where pandas would leave columns out.
    return str(thing.to_string() if hasattr(thing, "to_string") else thing)


def _entered(models: Entered | Sequence[Entered]) -> list[str | Path | Model]:
    """The contestants that are asked for; a single one may stand alone."""
    several = [models] if isinstance(models, str | os.PathLike | Model) else models
    return [m if isinstance(m, Model) else os.fspath(m) for m in several]


def _maybe(place: Place | None) -> Path | None:
    return None if place is None else Path(place)


def _results(record: Mapping[str, Any], out: Place | None) -> Results:
    folder = _maybe(out)
    return Results(({**record, "folders": [] if folder is None else [str(folder)]},), folder)
