"""Export to a folder that the `datasets` library of Hugging Face loads without code: Parquet files, and a card with YAML on top.

    README.md · croissant.json · data/SPLIT-00000-of-00001.parquet, a row a trajectory

Every array of a trajectory is a column of its numbers, row by row, in its own type, and beside it NAME_shape: so nothing is lost,
and `numpy.asarray(row["position"]).reshape(row["position_shape"])` is the film. Script and events have columns with a dot in their
names (script.box_offset), parameters are columns parameter.NAME. A row group is one trajectory, so readers may stream.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._files import TMP, publish, sha256_file, writing
from .._record import Record
from . import cards
from ._source import Progress, Source, Told

COMPRESSION = "zstd"


def write(folder: Path, out: Path, url: str, progress: Progress | None) -> list[str]:
    """Write all splits and the cards; nothing is left out. See the package for what it raises."""
    source = Source.open(folder)
    (out / "data").mkdir(parents=True, exist_ok=True)
    told = Told(sum(source.count(split) for split in source.plan.splits), progress)
    files = [_write_split(source, split, out, told) for split in source.plan.splits]
    cards.write_described(source, out, url, files)
    return []


def _write_split(source: Source, split: str, out: Path, told: Told) -> cards.File:
    import pyarrow.parquet as pq

    path = out / "data" / f"{split}-00000-of-00001.parquet"
    temporary = path.with_name(path.name + TMP)
    writer: Any = None
    with writing(path):
        try:
            for number, record in enumerate(source.records(split)):
                table = _row(record, number)
                writer = writer or pq.ParquetWriter(temporary, table.schema, compression=COMPRESSION)
                writer.write_table(table)
                told.one()
        finally:
            if writer is not None:
                writer.close()
        columns = tuple((field.name, str(field.type)) for field in writer.schema)
    publish(temporary, path)
    name = path.relative_to(out).as_posix()
    return cards.File(name, split, path.stat().st_size, sha256_file(path), source.count(split), columns)


def _row(record: Record, number: int) -> Any:
    """One trajectory as a table of one row; the columns are the same for every trajectory of a data set."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        "index": pa.array([number], pa.int64()),
        "domain": pa.array([record.domain]),
        "frame_interval": pa.array([record.frame_interval], pa.float64()),
        "diverged_at": pa.array([record.diverged_at], pa.int64()),
    }
    columns |= {f"n_{group}": pa.array([size], pa.int64()) for group, size in sorted(record.sizes.items())}
    columns |= {
        f"parameter.{name}": pa.array([float(v)], pa.float64()) for name, v in sorted(record.parameters.items())
    }
    for name in sorted(record.arrays):
        values = record.arrays[name]
        numbers = pa.array(values.ravel())
        columns[name.replace("/", ".")] = pa.ListArray.from_arrays(pa.array([0, len(numbers)], pa.int32()), numbers)
        columns[name.replace("/", ".") + "_shape"] = pa.array([list(values.shape)], pa.list_(pa.int64()))
    return pa.table(columns)
