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
    "arrayShape": "cr:arrayShape",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "isArray": "cr:isArray",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""Aliases, so that terms need no prefix: those of the specification, in full, as its readers expect."""

KINDS = {
    "string": "sc:Text", "int64": "cr:Int64", "uint8": "cr:UInt8", "float": "cr:Float32", "double": "cr:Float64",
    "float32": "cr:Float32", "float64": "cr:Float64",
}  # fmt: skip
"""Croissant's types by those of columns."""


def file_object(name: str, size: int, encoding: str, sha256: str) -> dict[str, Any]:
    """One file, by its path from the card."""
    about = {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name, "contentSize": f"{size} B"}
    return {**about, "encodingFormat": encoding, "sha256": sha256}


def field(records: str, name: str, kind: str, file: str) -> dict[str, Any]:
    """A column of a file as a field, `kind` being its type."""
    items = kind.removeprefix("list<").rstrip(">").rpartition(" ")[2] if kind.startswith("list<") else kind
    found = {"fileObject": {"@id": file}, "extract": {"column": name}}
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
