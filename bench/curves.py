"""Error curves on disk: one Parquet table in long form, so that any average can be made again.

Columns: domain, split, model, seed (null when nothing is drawn), metric, scene, frame (from 1), value (null: undefined).
"""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import MisuseError
from .score import Score

NAMES = ("domain", "split", "model", "metric")
COLUMNS = ("domain", "split", "model", "seed", "metric", "scene", "frame", "value")
MOST_ROWS = 1 << 25
"""Of a table that is read, and the bytes it may unfold to: a constant column packs a thousandfold, and a file from elsewhere may
say that it has any number of rows. The largest of ours so far has 2 million."""
MOST_BYTES = 1 << 30


def write(path: Path, scores: Sequence[Score]) -> None:
    """Write the curves of some scores as one Parquet file, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    blocks = [_block(s, metric, curve) for s in scores for metric, curve in s.curves.items()]
    table = pa.concat_tables(blocks) if blocks else pa.table({n: pa.array([], _type(n)) for n in COLUMNS})
    temporary = path.with_name(f"{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    # Values of single precision kept as double ones: split by byte, the bytes that are all zero cost nothing.
    how = {"value": "BYTE_STREAM_SPLIT", **dict.fromkeys(("seed", "scene", "frame"), "DELTA_BINARY_PACKED")}
    packed = {"compression": "zstd", "compression_level": 12, "use_dictionary": list(NAMES), "column_encoding": how}
    pq.write_table(table.unify_dictionaries(), temporary, **packed)
    os.replace(temporary, path)


def _type(name: str) -> Any:
    import pyarrow as pa

    if name in NAMES:
        return pa.dictionary(pa.int32(), pa.string())
    return pa.float64() if name == "value" else pa.int32()


def _block(score: Score, metric: str, curve: np.ndarray) -> Any:
    import pyarrow as pa

    n_frames, n_scenes = curve.shape
    said = {"domain": score.domain, "split": score.split, "model": score.model, "metric": metric}
    zeros = np.zeros(curve.size, dtype=np.int32)
    columns = {n: pa.DictionaryArray.from_arrays(zeros, [said[n]]) for n in NAMES}
    columns["seed"] = pa.array([score.seed] * curve.size, pa.int32())
    columns["scene"] = pa.array(np.tile(np.arange(n_scenes, dtype=np.int32), n_frames))
    columns["frame"] = pa.array(np.repeat(np.arange(1, n_frames + 1, dtype=np.int32), n_scenes))
    columns["value"] = pa.array(curve.ravel(), mask=np.isnan(curve.ravel()))
    return pa.table({n: columns[n] for n in COLUMNS})


def read(path: Path, **only: str) -> list[Score]:
    """The scores whose curves a file holds (curves only), or those of one `domain`, `split`, `model`, `metric`.

    Raises MisuseError for a file that is not such a table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        _require_table(path)
        table = pq.read_table(path, filters=[(name, "=", text) for name, text in only.items()] or None)
        columns = {name: _coded(table[name]) for name in NAMES}
        seed = table["seed"].to_numpy()
        numbers = [np.asarray(table[name].to_numpy()) for name in ("scene", "frame", "value")]
    except (pa.ArrowException, KeyError, OSError, ValueError, MemoryError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise MisuseError(f"{path} is not a table of error curves: {why}") from error
    scores: dict[tuple[Any, ...], Score] = {}
    for rows in _runs([codes for codes, _ in columns.values()] + [np.nan_to_num(seed, nan=-1)]):
        domain, split, model, metric = (words[codes[rows.start]] for codes, words in columns.values())
        number = None if np.isnan(seed[rows.start]) else int(seed[rows.start])
        key = (domain, split, model, number)
        scores.setdefault(key, Score(*key)).curves[metric] = _curve(path, *(n[rows] for n in numbers))
    return list(scores.values())


def _require_table(path: Path) -> None:
    """Raise MisuseError, from the file's foot alone, for a table of other columns or of a size that no run has."""
    import pyarrow.parquet as pq

    if not path.is_file():
        raise MisuseError("it is not a file")
    foot = pq.ParquetFile(path, memory_map=False)
    found, right = foot.schema_arrow, {name: _type(name) for name in COLUMNS}
    if {name: found.field(name).type for name in set(found.names)} != right or len(found.names) != len(right):
        raise MisuseError(f"its columns are {', '.join(map(str, found))}; {', '.join(COLUMNS)} are right")
    meta = foot.metadata
    declared = sum(meta.row_group(k).total_byte_size for k in range(meta.num_row_groups))
    if meta.num_rows > MOST_ROWS or not 0 <= declared <= MOST_BYTES:
        raise MisuseError(
            f"it declares {meta.num_rows} rows in {declared} bytes; at most {MOST_ROWS} in {MOST_BYTES} is right"
        )


def _coded(column: Any) -> tuple[np.ndarray, list[str]]:
    """A column of words as numbers, and the words."""
    held = column.unify_dictionaries().combine_chunks()
    held = held.chunk(0) if hasattr(held, "chunk") else held
    words = held.dictionary.to_pylist()
    if held.indices.null_count or not all(isinstance(word, str) for word in words):
        raise ValueError("a name in it is missing")
    return held.indices.to_numpy(), words


def _runs(keys: list[np.ndarray]) -> list[slice]:
    """Slices of rows in which no key changes: the blocks of `write`."""
    changed = np.zeros(max(len(keys[0]) - 1, 0), dtype=bool)
    for key in keys:
        changed |= key[1:] != key[:-1]
    edges = [0, *(np.flatnonzero(changed) + 1).tolist(), len(keys[0])]
    return [slice(a, b) for a, b in itertools.pairwise(edges) if b > a]


def _curve(path: Path, scene: np.ndarray, frame: np.ndarray, value: np.ndarray) -> np.ndarray:
    """A curve (T, B) from its rows; raises MisuseError where they leave a hole, or count wrongly."""
    numbered = scene.dtype.kind == frame.dtype.kind == "i" and scene.min() >= 0 and frame.min() >= 1
    if not numbered or int(frame.max()) * (int(scene.max()) + 1) > len(value):
        raise MisuseError(
            f"{path} is not a table of error curves: a curve of {len(value)} rows misses scenes or frames"
        )
    values = np.full((int(frame.max()), int(scene.max()) + 1), np.nan)
    values[frame - 1, scene] = value
    return values
