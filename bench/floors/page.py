"""The table of floors in a page of the docs: one table a kind of device, between marks of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..board_text import between_marks
from ..record import write_text

HEADINGS = ("hot path", "one call", "must move", "must reckon", "floor", "bound by", "measured", "ratio", "rate")
MADE_BY = {"cpu": "hedgefox floors", "cuda": "hedgefox floors --device cuda"}


def marks(kind: str) -> tuple[str, str]:
    """Around the table of a kind of device."""
    return f"<!-- floors {kind}:begin -->", f"<!-- floors {kind}:end -->"


def write_into(page: Path, found: Mapping[str, Any], note: str = "") -> None:
    """Put a table where its device's is; the other device's stays. Raises MisuseError for a page without the two marks."""
    inside = "\n" + "\n".join(lines(found, note)) + "\n"
    write_text(page, between_marks(page, *marks(found["kind"]), inside))


def lines(found: Mapping[str, Any], note: str = "") -> list[str]:
    """The table of a device in Markdown, what it was measured on above it."""
    return [
        _about(found, note),
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|" + "---|" * len(HEADINGS),
        *("| " + " | ".join(cells(row).values()) + " |" for row in found["rows"]),
    ]


def _about(found: Mapping[str, Any], note: str) -> str:
    rates = found["rates"]
    copies = ", ".join(f"{rate / 1e9:.3g} GB/s at {block >> 20} MiB" for block, rate in rates["copies"])
    half = rates["half_products"]
    also = "" if half is None else f" ({half / 1e12:.3g} TFLOP/s in bfloat16)"
    said = f"{note} " if note else ""
    made = f"`{MADE_BY[found['kind']]}{' --quick' if found['quick'] else ''}`, {datetime.now(UTC):%Y-%m-%d}"
    products = f"matrix product {rates['products'] / 1e9:.4g} GFLOP/s in float32{also}"
    return f"**{found['device']}**, {made}. {said}Copies read and write {copies}; {products}. Medians; times are of one call."


def cells(row: Mapping[str, Any]) -> dict[str, str]:
    """One line as text, by heading."""
    beside = "" if not row["beside_unit"] else f", {_amount(row['beside_per_second']).rstrip()} {row['beside_unit']}/s"
    texts = (
        row["path"], row["size"], f"{_amount(row['bytes'])}B", f"{_amount(row['operations'])}FLOP" if row["operations"] else "–",
        _seconds(row["floor_s"]), row["bound"], _seconds(row["measured_s"]), f"{row['ratio']:.3g}",
        f"{_amount(row['per_second']).rstrip()} {row['unit']}/s{beside}",
    )  # fmt: skip
    return dict(zip(HEADINGS, texts, strict=True))


def _amount(value: float) -> str:
    """Three digits and a prefix of thousands."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g} "


def _seconds(value: float) -> str:
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"
