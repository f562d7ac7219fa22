"""Cards of a data set: croissant.json (Croissant 1.1, JSON-LD) and README.md, made from its plan, manifest, costs and domain.

Nothing in them is typed by hand: equations, behaviour and failures are the docstrings of the simulator's files, ranges those of the
domain and of the training data, costs those that `generate` wrote down.

Sources: Croissant Format Specification 1.1 (mlcommons.org/croissant/1.1), its RAI vocabulary 1.0, Hugging Face's data cards.
"""

from __future__ import annotations

import ast
import datetime
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _describe, _generate, _statistics
from .._files import sha256_file, write_text
from .._manifest import MANIFEST, manifest_hash, read_manifest
from ._croissant import CONTEXT, field, file_object, record_set, split_set
from ._source import Progress, Source

README, CROISSANT = "README.md", "croissant.json"
LICENCE = "https://creativecommons.org/licenses/by/4.0/"
HDF5, JSON_LINES, PARQUET = "application/x-hdf5", "application/jsonlines", "application/x-parquet"


@dataclass(frozen=True)
class File:
    """A file of an export."""

    name: str
    """Relative to the folder."""
    split: str
    bytes: int
    sha256: str
    trajectories: int
    columns: tuple[tuple[str, str], ...] = ()
    """Of a table, name and type of each column."""


def write(folder: Path, out: Path, url: str, progress: Progress | None) -> list[str]:
    """Write the cards of a data set as it is; nothing is left out. See the package for what it raises."""
    source = Source.open(folder)
    out.mkdir(parents=True, exist_ok=True)
    shards = [File(e.path, e.split, e.bytes, e.sha256, e.trajectories) for e in read_manifest(folder)]
    write_described(source, out, url, shards)
    if progress is not None:
        progress(1, 1)
    return []


def write_described(source: Source, out: Path, url: str, files: Sequence[File]) -> None:
    """Write both cards into `out`, for these files of the data set."""
    address = url or f"urn:sha256:{manifest_hash(source.folder)}"
    write_text(out / CROISSANT, json.dumps(croissant(source, files, address), indent=1, ensure_ascii=False) + "\n")
    write_text(out / README, readme(source, files, address))


# -- Croissant ---------------------------------------------------------------------------------------------------------


def croissant(source: Source, files: Sequence[File], url: str) -> dict[str, Any]:
    """The JSON-LD of a data set in these files."""
    text = physics(source)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": source.name,
        "description": text.splitlines()[0],
        "version": source.plan.card["dataset_version"],
        "license": LICENCE,
        "url": url,
        "datePublished": _made_on(source).isoformat(),
        "creator": {"@type": "sc:Organization", "name": "hedgefox"},
        "citeAs": f"{source.name}, version {source.plan.card['dataset_version']}, manifest {manifest_hash(source.folder)}",
        "keywords": ["physics", "simulation", "surrogate", str(source.plan.config["domain"])],
        "isLiveDataset": False,
        "rai:dataCollection": f"simulated by hedgefox; {cost(source)}",
        "rai:dataLimitations": limits(source),
        **(_of_tables(files) if files[0].columns else _of_shards(source, files)),
    }


def _of_tables(files: Sequence[File]) -> dict[str, Any]:
    """Distribution and records of Parquet files: a record set a split, a record a trajectory."""
    objects = [file_object(f.name, f.bytes, PARQUET, f.sha256) for f in files]
    records = [
        record_set(
            f.split, f"The split {f.split}, a record a trajectory.", [field(f.split, *c, f.name) for c in f.columns]
        )
        for f in files
    ]
    return {"distribution": objects, "recordSet": [split_set([f.split for f in files]), *records]}


def _of_shards(source: Source, files: Sequence[File]) -> dict[str, Any]:
    """Distribution of HDF5 shards, which Croissant cannot look into, and the manifest's lines as records."""
    path = source.folder / MANIFEST
    manifest = file_object(MANIFEST, path.stat().st_size, JSON_LINES, sha256_file(path))
    kinds = {"path": "string", "split": "string", "trajectories": "int64", "bytes": "int64", "sha256": "string"}
    fields = [field("shards", name, kind, MANIFEST) for name, kind in kinds.items()]
    fields[1]["references"] = {"field": {"@id": "splits/name"}}
    shards = record_set("shards", "The HDF5 files, each of whole trajectories.", fields)
    return {
        "distribution": [manifest, *(file_object(f.name, f.bytes, HDF5, f.sha256) for f in files)],
        "recordSet": [split_set(list(dict.fromkeys(f.split for f in files))), shards],
    }


def _made_on(source: Source) -> datetime.date:
    """The day on which the last shard was published, by the manifest's time of change."""
    seconds = (source.folder / MANIFEST).stat().st_mtime
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date()


# -- what both cards say -----------------------------------------------------------------------------------------------


def physics(source: Source) -> str:
    """Equations, scheme, good values and failures: the docstring of the domain's file and of the private files that it names."""
    own = sys.modules[type(source.domain).__module__]
    texts = [own.__doc__ or ""]
    for name in re.findall(r"`(_\w+)\.py`", texts[0]):
        path = Path(str(own.__file__)).with_name(f"{name}.py")
        if path.is_file():
            texts.append(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
    return "\n\n".join(text.strip() for text in texts if text.strip())


def cost(source: Source) -> str:
    """What the data took, in words."""
    split_bytes = sum(entry.bytes for entry in read_manifest(source.folder))
    device = "CPU" if source.plan.config["device"] == "cpu" else str(source.plan.config["device"])
    return f"{_generate.seconds(source.folder):.1f} s of {device} time, {split_bytes} bytes"


def limits(source: Source) -> str:
    """What no one may expect of the data."""
    recipe = source.plan.config["recipe"]
    return (
        f"Simulated, not measured: true to the equations at a spacing of {recipe['resolution']} m and no finer. "
        "Positions and velocities are single precision. Made again, the bytes are the same on one type of machine with the pinned "
        "versions; elsewhere films part with time as the physics is chaotic. Ranges of parameters are those stated and no wider."
    )


# -- README ------------------------------------------------------------------------------------------------------------


def readme(source: Source, files: Sequence[File], url: str) -> str:
    """The data card as Markdown, with the YAML that Hugging Face reads on top."""
    about, card = _describe.describe(source.folder), source.plan.card
    parts = [
        _front_matter(source, files),
        f"# {source.name}",
        f"Version {card['dataset_version']}, manifest `{manifest_hash(source.folder)}`, at {url}. Licence: [CC BY 4.0]({LICENCE}).",
        "## Splits",
        _table(about["splits"]),
        "## How they were made",
        _table([{"what": k, "value": v} for k, v in about["made"].items()]),
        f"Cost: {cost(source)}.",
        "## Parameters",
        _parameters(source),
        "## Units",
        card["units"] + ".",
        "## Physics",
        physics(source),
        "## Limits",
        limits(source),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(source: Source, files: Sequence[File]) -> str:
    """YAML, written as JSON where it is nested: every JSON text is YAML."""
    total = sum(f.trajectories for f in files)
    size = next((f"n<{most}K" for most in (1,) if total < most * 1000), "1K<n<10K" if total < 10_000 else "10K<n<100K")
    lines = [
        "license: cc-by-4.0",
        f"pretty_name: {json.dumps(source.name)}",
        f"size_categories: [{json.dumps(size)}]",
        f"tags: {json.dumps(['physics', 'simulation', 'croissant', str(source.plan.config['domain'])])}",
    ]
    if files[0].columns:
        paths = [{"split": f.split, "path": f.name} for f in files]
        lines.append(f"configs: {json.dumps([{'config_name': 'default', 'data_files': paths}])}")
    return "\n".join(["---", *lines, "---"])


def _parameters(source: Source) -> str:
    """Ranges that siblings are drawn from, and what the training data hold."""
    domain = source.domain
    units = dict(source.plan.card["parameter_units"])
    seen = _statistics.statistics(source.folder).fields if (source.folder / _statistics.STATS).exists() else {}
    rows = []
    for name, unit in units.items():
        ranges = domain.parameter_ranges.get(name, {})
        of_train = f"{seen[name].min[0]:.4g} to {seen[name].max[0]:.4g}" if name in seen else ""
        said = "; ".join(f"{split} {low:.4g} to {high:.4g}" for split, (low, high) in _pairs(ranges))
        rows.append({"parameter": name, "unit": unit, "in train": of_train, "siblings may vary": said})
    return _table(rows) if rows else "None."


def _pairs(ranges: Any) -> list[tuple[str, tuple[float, float]]]:
    return [(str(split), (float(pair[0]), float(pair[1]))) for split, pair in dict(ranges).items()]


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of equal keys as a table of Markdown."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([str(row[k]).replace("|", "\\|") for k in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
