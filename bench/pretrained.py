"""Weights that records hold, by name: `[TRACK/][DOMAIN/]MODEL[@SEED]`, checked against their record before they are used.

Of several records of a track the newest that holds such weights counts; seed 0 unless another is asked for. A name without a
track is that of the best track there is (`ORDER`), of those whose scenes are of the size of the data if there is one. Weights that
know several domains go by one name in each.

A record names the hash of what it scored, or a sealed round does, which scored the same training. Weights that no record names
must at least lie beside the card that their record holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts import CheckFailed, MisuseError
from ..contracts.nearest import one_of
from ..contracts.strict_json import read_object
from . import record as records
from ._hashes import folder_hash
from .environment import PACKAGE

ORDER = ("gpu-9min", "gpu-3min", "hour", "quick", "sizes", "transfer")
"""Tracks from the best trained on; others come after, by name."""
Found = tuple[Path, Mapping[str, Any]]
"""A record and the folder that it lies in."""
TRAINING = ("name", "seed", "training_data", "training_steps", "training_device_seconds")
"""What tells one training from another on their cards."""


@dataclass(frozen=True)
class Weights:
    """One training of a record, and its weights."""

    folder: Path
    """Where they lie: weights.safetensors and model.json."""
    record: str
    """Name of the record's folder."""
    made: str
    """When the record was made."""
    track: str
    size: str
    """Of the track's scenes."""
    model: str
    domains: tuple[str, ...]
    seed: int
    card: Mapping[str, Any]
    errors: Mapping[str, float]
    """Position RMSE [m] on `test` at frame 20, of a shorter horizon at its last, by domain: all seeds of the record."""
    sha256: str | None
    """As a record names it; None where none does."""
    named_by: str | None
    """The folder of that record."""

    @property
    def key(self) -> tuple[str, str, tuple[str, ...], int]:
        """Equal for what goes by the same name."""
        return self.track, self.model, self.domains, self.seed

    @property
    def full_name(self) -> str:
        """The name that says all but the seed, which stands behind where it is not 0."""
        domain = "" if len(self.domains) > 1 else f"{self.domains[0]}/"
        return f"{self.track}/{domain}{self.model}" + (f"@{self.seed}" if self.seed else "")

    @property
    def holds(self) -> bool | None:
        """Whether the weights are those that a record names; None where none names any."""
        return None if self.sha256 is None else self.sha256 == folder_hash(self.folder)


def recorded(results: str | Path | None = None) -> Path:
    """The folder of records: as given, else that of this checkout. Raises MisuseError where there is none."""
    folder = PACKAGE / "results" if results is None else Path(results)
    if results is None and not folder.is_dir():
        raise MisuseError("no recorded results came with this hedgefox; give a folder of records with --results DIR")
    return folder


def table(results: str | Path | None = None) -> list[dict[str, Any]]:
    """Everything that has a name, a row each, sorted as plain names choose."""
    found = every(recorded(results))
    return [
        {
            "name": short,
            "model": w.model,
            "domains": list(w.domains),
            "track": w.track,
            "seed": w.seed,
            "made": w.made[:10],
            "parameters": w.card["parameters"],
            "bytes": w.card["bytes"],
            "position_rmse_20": dict(w.errors),
            "sha256": w.sha256,
            "named_by": w.named_by,
            "holds": w.holds,
            "folder": str(w.folder),
        }
        for short, w in zip(_short(found), found, strict=True)
    ]


def folder_of(
    name: str, results: str | Path | None = None, *, domain: str | None = None, size: str | None = None
) -> Path:
    """The folder of the weights that a name stands for, checked; `domain` and `size` are those of the data, where there are any.

    Raises MisuseError for a name, domain or seed that no record holds weights of, and CheckFailed where the weights are not those
    that the record names.
    """
    chosen = find(name, results, domain=domain, size=size)
    _require_same(chosen)
    return chosen.folder


def find(
    name: str, results: str | Path | None = None, *, domain: str | None = None, size: str | None = None
) -> Weights:
    """As `folder_of`, not yet checked."""
    path, at, seed = name.partition("@")
    if at and not seed.isdecimal():
        raise MisuseError(f"{name!r}: the seed {seed!r} is no whole number; a name like {path}@1 is right")
    *where, model = path.split("/")
    held = every(recorded(results), where[0] if where else None)
    alike = [w for w in held if w.model == model and all(part in (w.track, *w.domains) for part in where)]
    if not alike:
        plain = sorted({w.model for w in held})
        choices = one_of(path, plain, " (`hedgefox list pretrained` has all)", more=_short(held))
        raise MisuseError(f"no record holds weights named {name!r}; {choices}")
    knowing = [w for w in alike if domain in (None, *w.domains)]
    if not knowing:
        theirs = ", ".join(sorted({d for w in alike for d in w.domains}))
        right = sorted({w.model for w in held if domain in w.domains})
        raise MisuseError(f"{name} knows {theirs}; the data are of {domain}: {one_of(model, right)}")
    return _of_seed(path, _best(path, where, knowing, size), int(seed or 0))


def _best(path: str, where: Sequence[str], knowing: Sequence[Weights], size: str | None) -> list[Weights]:
    """All seeds of the training that a name means among those that it fits: of the size of the data, then of the best track, then
    of the domain that is named, or else of the most."""
    first = min(knowing, key=lambda w: (size not in (None, w.size), _standing(w.track), w.track))
    there = [w for w in knowing if w.track == first.track]
    exact = [w for w in there if len(w.domains) == 1 and w.domains[0] in where]
    widest = [w for w in there if len(w.domains) == max(len(w.domains) for w in there)]
    found = exact or widest
    if len({w.domains for w in found}) > 1:
        named = sorted({f"{w.track}/{w.domains[0]}/{w.model}" for w in found})
        raise MisuseError(f"{path} is trained on each domain by itself; say on which: {one_of(path, named)}")
    return found


def _of_seed(path: str, trainings: Sequence[Weights], seed: int) -> Weights:
    """The one of a seed."""
    for each in trainings:
        if each.seed == seed:
            return each
    seeds = ", ".join(f"{path}@{w.seed}" for w in trainings)
    raise MisuseError(f"no record of track {trainings[0].track} holds {path} of seed {seed}; one of {seeds} is right")


def every(results: Path, track: str | None = None) -> list[Weights]:
    """All weights of the records below a folder that have a name: of those that go by the same one, the newest.

    Of one track alone where there are records of it, else of all.
    """
    read = [(folder, records.read(folder)) for folder in _worth_reading(results, track)]
    newest: dict[Any, Weights] = {}
    for folder, record in sorted(read, key=lambda each: (each[1]["created"], str(each[0]))):
        newest |= {w.key: w for w in _weights(folder, record, read)}
    return sorted(newest.values(), key=lambda w: (_standing(w.track), w.track, w.model, w.domains, w.seed))


def _worth_reading(results: Path, track: str | None) -> list[Path]:
    """Folders of records that hold weights, or the hashes of others': checking a record takes far longer than a look at it."""
    looked = {folder: read_object(folder / records.FILE, records.MOST_BYTES) for folder in records.find(results)}
    found = [folder for folder, record in looked.items() if _saved(folder) or record.get("round")]
    of_track = [folder for folder in found if _track_of(looked[folder]) == track]
    return of_track or found


def _track_of(record: Mapping[str, Any]) -> Any:
    """The name of the track of a record that was not checked yet."""
    held = record.get("track")
    return held.get("name") if isinstance(held, dict) else None


def _saved(folder: Path) -> list[Path]:
    """Folders of saved models below a record's: of some, a record keeps the card and log alone."""
    saved = [path.parent for path in sorted(folder.glob("weights/*/*/seed-*/weights.safetensors"))]
    return [path for path in saved if (path / "model.json").is_file() and path.name[len("seed-") :].isdecimal()]


def _standing(track: str) -> int:
    return ORDER.index(track) if track in ORDER else len(ORDER)


def _weights(folder: Path, record: Mapping[str, Any], read: Sequence[Found]) -> Iterator[Weights]:
    """What one record holds weights of and has scored."""
    track = record["track"]
    for path in _saved(folder):
        domains, model, seed = path.parts[-3].split("+"), path.parts[-2], int(path.name[len("seed-") :])
        mine = [c for c in record["contestants"] if (c["card"]["name"], c["seed"]) == (model, seed)]
        mine = [c for c in mine if c["domain"] in domains]
        if not mine:
            continue
        card = mine[0]["card"]
        sha256, named_by = _named(folder, mine[0], read)
        yield Weights(
            path, folder.name, record["created"], track["name"], track["size"], model, tuple(domains), seed, card,
            _errors(record, model, domains), sha256, named_by,
        )  # fmt: skip


def _named(folder: Path, contestant: Mapping[str, Any], read: Sequence[Found]) -> tuple[str | None, str | None]:
    """The hash of a contestant's weights and the record that names it: its own, else a sealed round that scored this training."""
    if "weights_sha256" in contestant:
        return contestant["weights_sha256"], folder.name
    who = contestant["domain"], contestant["card"]["name"], contestant["seed"]
    for other, record in read:
        entered = (record.get("round") or {}).get("entered", ())
        for row in (e for e in entered if (e["domain"], e["model"], e["seed"]) == who):
            cards = [c["card"] for c in record["contestants"] if (c["domain"], c["card"]["name"], c["seed"]) == who]
            if any(_same_training(card, contestant["card"]) for card in cards):
                return row["sha256"], other.name
    return None, None


def _same_training(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return all(a.get(name) == b.get(name) for name in TRAINING)


def _errors(record: Mapping[str, Any], model: str, domains: Sequence[str]) -> dict[str, float]:
    """Errors on `test` by domain, as the record's own board has them."""
    found = {}
    for row in record["scores"]:
        if (row["model"], row["split"]) == (model, "test") and row["domain"] in domains:
            held: Mapping[str, Any] = next((v for n, v in row["values"].items() if n.startswith("position_rmse@")), {})
            shown = held.get("20") or held.get("last")
            if shown is not None:
                found[row["domain"]] = shown["value"]
    return found


def _short(found: Sequence[Weights]) -> list[str]:
    """The shortest name that says the track, of each: without its domain where no other's differs in that alone."""
    domains: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for w in found:
        domains.setdefault((w.track, w.model), set()).add(w.domains)
    alone = [len(domains[w.track, w.model]) == 1 for w in found]
    return [
        f"{w.track}/{w.model}" + (f"@{w.seed}" if w.seed else "") if one else w.full_name
        for w, one in zip(found, alone, strict=True)
    ]


def _require_same(chosen: Weights) -> None:
    """Raise CheckFailed when weights are not those that their record scored."""
    if chosen.sha256 is not None:
        found = folder_hash(chosen.folder)
        if found != chosen.sha256:
            raise CheckFailed(
                f"{chosen.folder} has SHA-256 {found}; {chosen.named_by} names {chosen.sha256} for {chosen.full_name}: "
                "they are not the weights that were scored"
            )
        return
    card = read_object(chosen.folder / "model.json").get("card")
    if not isinstance(card, dict) or not _same_training(card, chosen.card):
        raise CheckFailed(f"{chosen.folder} holds another training than {chosen.record} scored as {chosen.full_name}")
