"""The vocabulary of Croissant 1.1: the nodes that a card is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "isArray": "cr:isArray",
    "arrayShape": "cr:arrayShape",
    "key": "cr:key",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "sc": "https://schema.org/",
    "source": "cr:source",
    "transform": "cr:transform",
}
"""Aliases, so that terms need no prefix."""

KINDS = {
    "string": "sc:Text", "int64": "cr:Int64", "uint8": "cr:UInt8", "float": "cr:Float32", "double": "cr:Float64",
    "float32": "cr:Float32", "float64": "cr:Float64",
}  # fmt: skip
"""Croissant's types by those of columns."""


def file_object(name: str, size: int, encoding: str, sha256: str) -> dict[str, Any]:
    """One file, by its path from the card."""
    about = {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name, "contentSize": f"{size} B"}
    return {**about, "encodingFormat": encoding, "sha256": sha256}


def file_set(name: str, encoding: str, includes: str) -> dict[str, Any]:
    """Files of one kind, by a pattern."""
    return {"@type": "cr:FileSet", "@id": name, "name": name, "encodingFormat": encoding, "includes": includes}


def field(records: str, name: str, kind: str, source: dict[str, Any], regex: str = "") -> dict[str, Any]:
    """A column as a field, `kind` being its type; with a pattern instead what it finds in the names of the files."""
    items = kind.removeprefix("list<").rstrip(">").rpartition(" ")[2] if kind.startswith("list<") else kind
    extract = {"fileProperty": "fullpath"} if regex else {"column": name}
    found = {**source, "extract": extract} | ({"transform": {"regex": regex}} if regex else {})
    made = {"@type": "cr:Field", "@id": f"{records}/{name}", "name": name, "dataType": KINDS[items], "source": found}
    return made | ({"isArray": True, "arrayShape": "-1"} if kind.startswith("list<") else {})


def record_set(name: str, description: str, fields: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A table of fields."""
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": description, "field": list(fields)}


def split_set(names: Sequence[str]) -> dict[str, Any]:
    """The splits, as Croissant has them: an enumeration that fields refer to."""
    name = {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"}
    made = record_set("splits", "Splits of the data.", [name])
    return {**made, "dataType": "cr:Split", "key": {"@id": "splits/name"}, "data": [{"splits/name": n} for n in names]}
