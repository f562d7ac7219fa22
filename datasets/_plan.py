"""Plan: what a dataset will hold, settled before anything is simulated. Its configuration decides every byte of it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts import SPLITS, Domain, MisuseError, Recipe, Track
from ..contracts.strict_json import read_json
from ._files import canonical, sha256_text
from ._shard import FORMAT, FORMAT_VERSION, UNITS

CARD = "dataset.json"
GROUP = 8
"""Trajectories simulated in one call: group k of a split holds the indices 8k to 8k+7, whoever simulates it."""
GROUPS_PER_SHARD = 8
"""At most, so that a kill loses little."""
SHARD_BYTES = 1 << 29
MAX_TRAJECTORIES = 10_000_000
"""Of one split; a larger number in a dataset.json from elsewhere would fill the memory with names."""
MAX_SHARDS = 100_000
"""Of one split, for the same reason."""
MOST = 1_000_000
"""Of any number of frames or axes of a recipe."""
LICENCE = "CC-BY-4.0"
_TEXTS = ("domain", "dataset_version", "licence", "config_sha256")
_CONFIG_TEXTS = ("domain", "track", "size", "device")


@dataclass(frozen=True)
class Shard:
    """One file of the plan: trajectories `first` up to, not including, `stop` of a split."""

    name: str
    split: str
    first: int
    stop: int

    def groups(self) -> list[range]:
        """The groups that it is simulated in, as trajectory indices."""
        return [range(k, min(k + GROUP, self.stop)) for k in range(self.first, self.stop, GROUP)]


@dataclass(frozen=True)
class Plan:
    """The configuration of a dataset and how its splits are cut into shards."""

    card: Mapping[str, Any]
    """All of dataset.json."""

    @property
    def config(self) -> dict[str, Any]:
        """What decides the data: domain, generator version, recipe, seed, numbers of scenes and siblings."""
        config: dict[str, Any] = self.card["config"]
        return config

    @property
    def recipe(self) -> Recipe:
        """What the data were made by; raises MisuseError for numbers that are none."""
        return recipe_of(self.config)

    @property
    def siblings(self) -> int:
        """Trajectories that share a start; 1 when there are no siblings."""
        return int(self.config["siblings"])

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that the track asks for, in the order of SPLITS."""
        return tuple(s for s in SPLITS if s in self.card["splits"])

    def shards(self, split: str) -> Iterator[Shard]:
        """The files of a split, in order."""
        total, each = (self.card["splits"][split][k] for k in ("trajectories", "trajectories_per_shard"))
        n = -(-total // each)
        for k in range(n):
            yield Shard(f"{split}-{k:05d}-of-{n:05d}.h5", split, k * each, min((k + 1) * each, total))

    def root_attributes(self, split: str) -> dict[str, str | int | float]:
        """Root attributes of a split's shards."""
        names = ("dataset_version", "domain", "generator_version", "frame_interval", "licence", "config_sha256")
        return {"split": split, **{n: self.card[n] for n in names}, "config": canonical(self.config)}


def recipe_of(config: Mapping[str, Any]) -> Recipe:
    """The recipe of a configuration; raises MisuseError for numbers that are none."""
    stored, fields = config.get("recipe"), dataclasses.fields(Recipe)
    names = ", ".join(f.name for f in fields)
    if not isinstance(stored, dict) or set(stored) != {f.name for f in fields}:
        raise MisuseError(f"its recipe is {_short(stored)}; {names} are right")
    for name, value in stored.items():
        kind = int | float if name == "resolution" else int
        if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value <= MOST:
            raise MisuseError(f"its recipe has {name} {_short(value)}; a number above zero, at most {MOST}, is right")
    return Recipe(**stored)


def _short(value: Any) -> str:
    """What stands somewhere, in few words."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def make_plan(
    domain: Domain, track: Track, recipe: Recipe, device: str, siblings: int, per_shard: Mapping[str, int]
) -> Plan:
    """The plan of a track's data for one domain; `per_shard` is the number of trajectories a shard of each split.

    The track's numbers are those of starts, each of which has `siblings` trajectories.
    """
    config = {
        "domain": domain.name,
        "generator_version": domain.version,
        "frame_interval": domain.frame_interval,
        "track": track.name,
        "size": track.size,
        "recipe": dataclasses.asdict(recipe),
        "root_seed": track.root_seed,
        "device": device.split(":")[0],
        "group": GROUP,
        "siblings": siblings,
        "trajectories": {s: track.trajectories[s] for s in per_shard},
    }
    splits = {
        s: {"trajectories": siblings * track.trajectories[s], "trajectories_per_shard": n} for s, n in per_shard.items()
    }
    card = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "dataset_version": f"{FORMAT_VERSION}.{domain.version}.0",
        "name": f"hedgefox-{domain.name}-{track.name}",
        "domain": domain.name,
        "generator_version": domain.version,
        "frame_interval": domain.frame_interval,
        "licence": LICENCE,
        "units": UNITS,
        "parameter_units": dict(domain.parameter_units),
        "config": config,
        "config_sha256": sha256_text(canonical(config)),
        "splits": splits,
    }
    # Through JSON once, so that a plan just made equals one read back.
    return Plan(json.loads(canonical(card)))


def trajectories_per_shard(domain: Domain, recipe: Recipe, split: str, root_seed: int, siblings: int) -> int:
    """Whole groups, and whole families of siblings, that keep a shard below SHARD_BYTES, judged by the split's first scene."""
    scene = domain.sample_start(recipe, split, 0, root_seed).scene
    trajectory_bytes = 2 * 4 * scene.n_nodes * scene.dim * recipe.n_frames(split)
    unit = math.lcm(GROUP, siblings)
    return unit * max(1, min(GROUPS_PER_SHARD * GROUP, SHARD_BYTES // trajectory_bytes) // unit)


def text_of(plan: Plan) -> str:
    """dataset.json as text."""
    return json.dumps(plan.card, indent=2, sort_keys=True, allow_nan=False) + "\n"


def read_plan(folder: Path) -> Plan:
    """The plan of a dataset on disk; raises MisuseError when there is none, it is damaged or of another version."""
    path = folder / CARD
    if not path.is_file():
        raise MisuseError(f"{folder} is not a dataset: it has no readable {CARD}")
    card = read_json(path)
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise MisuseError(f"{path} does not describe data of the format {FORMAT!r}")
    if card.get("format_version") != FORMAT_VERSION:
        theirs = card.get("format_version")
        raise MisuseError(f"{path}: its format version is {theirs}; this hedgefox reads version {FORMAT_VERSION}")
    _require_whole(path, card)
    return Plan(card)


def _require_whole(path: Path, card: dict[str, Any]) -> None:
    config, splits = card.get("config"), card.get("splits")
    if not isinstance(config, dict) or card.get("config_sha256") != sha256_text(canonical(config)):
        raise MisuseError(f"{path}: its configuration does not match config_sha256; it was edited")
    _require_kinds(path, card, config)
    if not isinstance(splits, dict) or not set(splits) <= set(SPLITS):
        raise MisuseError(f"{path}: its splits are not among {', '.join(SPLITS)}")
    siblings = config.get("siblings")
    if type(siblings) is not int or not 0 < siblings <= MAX_TRAJECTORIES:
        raise MisuseError(f"{path}: its configuration has {siblings!r} siblings; at least 1 is right")
    for split, numbers in splits.items():
        if not isinstance(numbers, dict) or not isinstance(counts := config.get("trajectories"), dict):
            raise MisuseError(f"{path}: split {split} does not say how many trajectories it has")
        total, each, starts = numbers.get("trajectories"), numbers.get("trajectories_per_shard"), counts.get(split)
        planned = siblings * starts if type(starts) is int else starts
        if total != planned or type(total) is not int or not 0 < total <= MAX_TRAJECTORIES:
            raise MisuseError(f"{path}: split {split} has {total} trajectories; its configuration has {planned}")
        unit = math.lcm(GROUP, siblings)
        if type(each) is not int or each < 1 or each % unit:
            raise MisuseError(f"{path}: split {split} has {each} trajectories a shard; a multiple of {unit} is right")
        if total > MAX_SHARDS * each:
            raise MisuseError(f"{path}: split {split} has {-(-total // each)} shards; at most {MAX_SHARDS} is right")
    for name in ("domain", "generator_version", "frame_interval"):
        if card.get(name) != config.get(name):
            raise MisuseError(f"{path}: {name} is {card.get(name)}; its configuration says {config.get(name)}")


def _require_kinds(path: Path, card: dict[str, Any], config: dict[str, Any]) -> None:
    """What the names of a card hold, by kind: a value of another one would end far from here."""
    for name, holder in (*((n, card) for n in _TEXTS), *((n, config) for n in _CONFIG_TEXTS)):
        if not isinstance(holder.get(name), str):
            raise MisuseError(f"{path}: {name} is {_short(holder.get(name))}; a text is right")
    try:
        recipe_of(config)
    except MisuseError as error:
        raise MisuseError(f"{path}: {error}") from error
    units = card.get("parameter_units", {})
    if not isinstance(units, dict) or not all(isinstance(unit, str) for unit in units.values()):
        raise MisuseError(f"{path}: parameter_units is {units!r}; a text for each parameter is right")
    for name in ("root_seed", "generator_version"):
        number = config.get(name)
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise MisuseError(f"{path}: its configuration has {name} {number!r}; a whole number is right")
    interval = config.get("frame_interval")
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not interval > 0:
        raise MisuseError(f"{path}: its configuration has frame_interval {interval!r}; a time in seconds is right")


def require_same_config(folder: Path, stored: Plan, asked: Mapping[str, Any]) -> None:
    """Raise MisuseError, naming both values, when a folder holds data of another configuration."""
    have, want = _flat(stored.config), _flat(asked)
    for name in sorted(have | want):
        if have.get(name) != want.get(name):
            raise MisuseError(
                f"{folder} holds data made with {name} = {have.get(name)!r}, not {want.get(name)!r}; "
                "choose another folder for the new data"
            )


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in data.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
