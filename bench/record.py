"""The record of a run: strict JSON under a schema, beside the error curves. Boards and reports are made from it alone."""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..contracts import MisuseError
from ..contracts.strict_json import read_json
from .environment import commit, suite_version

VERSION = 1
"""Raised whenever a reader of the old form would misread the new one."""

MOST_BYTES = 256 << 20
"""Of a record; the largest so far has 3 MB."""
FORMAT = "hedgefox-record"
FILE = "record.json"
CURVES = "curves.parquet"
SCHEMA = Path(__file__).with_name("record.schema.json")
_FITTING: set[bytes] = set()
"""Digests of records that fitted the schema. Checking takes far longer than reading, and a report reads each record five times."""


def strict(value: Any) -> Any:
    """The same data with NaN and infinities as None: JSON knows neither."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [strict(v) for v in value]
    return value


def dumps(value: Any) -> str:
    """Strict JSON text of plain data."""
    return json.dumps(strict(value), indent=1, allow_nan=False)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; the folder is made when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def new(**parts: Any) -> dict[str, Any]:
    """A record of the given parts, with its version, the suite's and the time; checked against the schema."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    head = {"format": FORMAT, "version": VERSION, "created": made}
    suite = {"name": "hedgefox", "version": suite_version(), "commit": commit()}
    record: dict[str, Any] = strict({**head, "suite": suite, "curves": CURVES, "probes": [], **parts})
    check(record, "the new record")
    return record


def write(folder: Path, record: Mapping[str, Any]) -> Path:
    """Check a record and write it as FOLDER/record.json."""
    check(record, "the new record")
    write_text(folder / FILE, dumps(record) + "\n")
    return folder / FILE


def read(folder: Path) -> dict[str, Any]:
    """The record of a run's folder; raises MisuseError for none, a broken one, or one of another version."""
    path = folder / FILE if folder.is_dir() else folder
    if not path.exists():
        raise MisuseError(f"there is no {FILE} in {folder}; give the folder of a finished run")
    try:
        record = read_json(path, MOST_BYTES)
    except MisuseError as error:
        raise MisuseError(f"{path} cannot be read as a record: {error}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise MisuseError(f"{path} is not a record of hedgefox; its format must be {FORMAT!r}")
    if record.get("version") != VERSION:
        raise MisuseError(
            f"{path} is a record of version {record.get('version')}; this hedgefox reads version {VERSION}"
        )
    digest = hashlib.sha256(json.dumps(record).encode()).digest()
    if digest not in _FITTING:
        check(record, str(path))
        _FITTING.add(digest)
    return record


def check(record: Mapping[str, Any], what: str) -> None:
    """Raise MisuseError, naming the place, when a record does not fit the schema."""
    import jsonschema

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(record))
    if error is not None:
        raise MisuseError(f"{what} does not fit the schema at {error.json_path}: {error.message[:200]}")


def find(folder: Path) -> list[Path]:
    """Folders under `folder`, itself included, that hold a record, sorted; raises MisuseError when none does."""
    if not folder.is_dir():
        raise MisuseError(f"{folder} is not a folder; give the folder of a run, or one that holds several")
    found = sorted(p.parent for p in folder.rglob(FILE))
    if not found:
        raise MisuseError(f"there is no {FILE} under {folder}; give the folder of a finished run")
    return found
