"""Manifest: one line a shard, appended only after the shard is in place. What it names is finished; nothing else is."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..contracts import MisuseError
from ..contracts.seeds import stream
from ..contracts.strict_json import parse
from ._files import append_line, read_lines, sha256_file, sha256_text
from ._plan import Plan, Shard
from ._provenance import versions
from ._shard import FORMAT_VERSION

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Entry:
    """One finished shard."""

    path: str
    """File name, relative to the manifest."""
    bytes: int
    sha256: str
    split: str
    trajectories: int
    """How many the shard holds."""
    seeds: dict[str, Any]
    """Root seed, first index, and the spawn key's words for domain and split: enough to make any of them again."""
    format_version: int = FORMAT_VERSION
    made_with: dict[str, str] = field(default_factory=dict)
    """Kind of processor and versions of the libraries, by name; empty in manifests of before it was noted."""


def entry_of(folder: Path, plan: Plan, shard: Shard) -> Entry:
    """The line for a shard that is in place; reads it once to hash it."""
    path = folder / shard.name
    return Entry(
        path=shard.name,
        bytes=path.stat().st_size,
        sha256=sha256_file(path),
        split=shard.split,
        trajectories=shard.stop - shard.first,
        seeds=seeds_of(plan, shard),
        made_with=dict(versions()),
    )


def seeds_of(plan: Plan, shard: Shard) -> dict[str, Any]:
    """How the randomness of a shard's trajectories is named."""
    root = plan.config["root_seed"]
    sequence: Any = stream(root, plan.config["domain"], shard.split, shard.first).bit_generator.seed_seq
    return {"root": root, "first": shard.first, "spawn_key": list(sequence.spawn_key[:2])}


def append(folder: Path, entry: Entry) -> None:
    """Publish a shard."""
    append_line(folder / MANIFEST, dataclasses.asdict(entry))


def read_manifest(folder: Path) -> list[Entry]:
    """The whole lines; a torn last one is left out. Raises MisuseError for a line that is no entry, naming it."""
    entries: dict[str, Entry] = {}
    for number, line in enumerate(read_lines(folder / MANIFEST)[0], start=1):
        where = f"{folder / MANIFEST} line {number}"
        entry = _parse(line, where)
        if entry.path in entries:
            raise MisuseError(f"{where}: {entry.path} is named a second time")
        entries[entry.path] = entry
    return list(entries.values())


def _parse(line: str, where: str) -> Entry:
    data = parse(line, where)
    if isinstance(data, dict) and data.get("format_version") != FORMAT_VERSION:
        theirs = data.get("format_version")
        raise MisuseError(f"{where}: its format version is {theirs}; this hedgefox reads version {FORMAT_VERSION}")
    kinds = {"path": str, "bytes": int, "sha256": str, "split": str, "trajectories": int, "seeds": dict}
    kinds["format_version"] = int
    if not isinstance(data, dict) or set(data) - {"made_with"} != set(kinds):
        raise MisuseError(f"{where} does not have the fields {', '.join(kinds)}")
    for name, kind in kinds.items():
        if type(data[name]) is not kind:
            raise MisuseError(f"{where}: {name} is {data[name]!r}, which is no {kind.__name__}")
    noted = data.get("made_with", {})
    if not isinstance(noted, dict) or not all(isinstance(value, str) for value in noted.values()):
        raise MisuseError(f"{where}: made_with is {noted!r}; a version for each library is right")
    entry = Entry(**data)
    if Path(entry.path).name != entry.path or "\0" in entry.path:
        raise MisuseError(f"{where}: {entry.path!r} is not a plain file name")
    return entry


def hash_of(entries: list[Entry]) -> str:
    """SHA-256 over paths and hashes, sorted: the same for equal data, in whatever order they were made."""
    return sha256_text("".join(sorted(f"{e.path} {e.sha256}\n" for e in entries)))


def manifest_hash(folder: str | Path) -> str:
    """Name of a dataset's exact content, as used in model cards: SHA-256 over its shards' names and hashes, sorted.

    Raises MisuseError when the folder holds no finished shard.
    """
    entries = read_manifest(Path(folder))
    if not entries:
        raise MisuseError(f"{folder} holds no finished shard; `hedgefox generate` makes them")
    return hash_of(entries)
