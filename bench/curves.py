"""Error curves on disk: one Parquet table in long form, so that any average can be made again.

Columns: domain, split, model, seed (null when nothing is drawn), metric, scene, frame (from 1), value (null: undefined).
"""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import MisuseError
from .score import Score

NAMES = ("domain", "split", "model", "metric")


def write(path: Path, scores: Sequence[Score]) -> None:
    """Write the curves of some scores as one Parquet file, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    blocks = [_block(s, metric, curve) for s in scores for metric, curve in s.curves.items()]
    names = ("domain", "split", "model", "seed", "metric", "scene", "frame", "value")
    table = pa.concat_tables(blocks) if blocks else pa.table({n: pa.array([], _type(n)) for n in names})
    temporary = path.with_name(f"{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    pq.write_table(table.unify_dictionaries(), temporary, compression="zstd")
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
    return pa.table({n: columns[n] for n in ("domain", "split", "model", "seed", "metric", "scene", "frame", "value")})


def read(path: Path) -> list[Score]:
    """The scores whose curves a file holds (curves only); raises MisuseError for a file that is not such a table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        frame = pq.read_table(path).to_pandas()
        groups = frame.groupby(["domain", "split", "model", "seed", "metric"], observed=True, dropna=False, sort=False)
        scores: dict[tuple[Any, ...], Score] = {}
        for (domain, split, model, seed, metric), part in groups:
            number = None if np.isnan(seed) else int(seed)
            key = (domain, split, model, number)
            kept = scores.setdefault(key, Score(*key))
            values = np.full((part["frame"].max(), part["scene"].max() + 1), np.nan)
            values[part["frame"].to_numpy() - 1, part["scene"].to_numpy()] = part["value"].to_numpy()
            scores[key] = dataclasses.replace(kept, curves={**kept.curves, metric: values})
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise MisuseError(f"{path} is not a table of error curves: {str(error).splitlines()[0]}") from error
    return list(scores.values())
