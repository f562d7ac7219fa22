"""The report: one folder that opens from disk, made from records and nothing else. No network, no script from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from . import board_text, curves, leaderboard
from . import record as records
from .pool import pooled
from .reduce import mean_defined
from .summary import POSITION

COLOURS = ("#1b6ca8", "#c8553d", "#2a9d5c", "#8e5ea2", "#b8860b", "#3a3a3a", "#d1568f", "#4a90a4", "#7a8b2f", "#a0522d")

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 2rem;display:block;overflow-x:auto}
th,td{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
th{cursor:pointer}
:is(th,td):is(:nth-child(2),:nth-child(3)){text-align:left}
svg{max-width:100%;height:auto} .note{color:#555}
"""

SORT = """
for(const head of document.querySelectorAll('table.board th')){head.onclick=()=>{
 const body=head.closest('table').tBodies[0],k=head.cellIndex,down=head.dataset.down!=='1';head.dataset.down=down?'1':'0';
 const key=r=>{const t=r.cells[k].textContent,n=parseFloat(t);return t==='–'?[2,0,'']:isNaN(n)?[1,0,t]:[0,n,'']};
 const less=(a,b)=>{const x=key(a),y=key(b);return x[0]-y[0]||(down?1:-1)*(x[1]-y[1]||x[2].localeCompare(y[2]))};
 body.append(...[...body.rows].sort(less))}}
"""


def report(folder: Path, out: Path | None = None) -> Path:
    """Write index.html and LEADERBOARD.md for all records under a folder; returns the page.

    They go to `out`, FOLDER/report by default. Raises MisuseError when there is no record.
    """
    found = records.find(folder)
    read = [records.read(path) for path in found]
    entries = leaderboard.board_of(pooled(list(zip(found, read, strict=True))))
    target = folder / "report" if out is None else out
    charts = [chart for path, r in zip(found, read, strict=True) for chart in _charts(path, r)]
    body = [f"<p class=note>{escape(board_text.NOTE)}</p>", *_tables(entries), *charts]
    body += [_environment(r) for r in read]
    records.write_text(target / "LEADERBOARD.md", board_text.markdown(entries))
    records.write_text(target / "index.html", _page("hedgefox report", body))
    return target / "index.html"


def _page(title: str, body: Sequence[str]) -> str:
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    inside = "\n".join([f"<h1>{escape(title)}</h1>", *body, f"<script>{SORT}</script>"])
    return f"<!doctype html>\n<html lang=en><head>{head}</head><body>\n{inside}\n</body></html>\n"


def _tables(entries: Sequence[leaderboard.Entry]) -> list[str]:
    heads = "".join(f"<th>{escape(h)}</th>" for _, h in board_text.HEADINGS)
    parts = []
    for title, section in board_text.sections(entries).items():
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(c)}</td>" for c in board_text.cells(e)) + "</tr>" for e in section
        )
        parts.append(
            f"<h2>{escape(title)}</h2>\n<table class=board><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        )
    return parts


def _charts(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """Mean position RMSE over frames on the test split, one chart a domain."""
    if record["curves"] is None or not (folder / record["curves"]).is_file():
        return []
    lines: dict[str, dict[str, list[float]]] = {}
    for score in curves.read(folder / record["curves"]):
        metric = next((m for m in score.curves if m.startswith(f"{POSITION}@")), None)
        if metric is not None and score.split == "test":
            label = score.model if score.seed is None else f"{score.model} (seed {score.seed})"
            lines.setdefault(score.domain, {})[label] = mean_defined(score.curves[metric], 1).tolist()
    return [
        f"<h2>{escape(domain)}: position error over frames, test split</h2>\n{line_chart(found, 'frame', 'RMSE [m]')}"
        for domain, found in lines.items()
    ]


def line_chart(lines: Mapping[str, Sequence[float]], across: str, up: str) -> str:
    """An SVG of some curves over frames 1, 2, …, the vertical axis logarithmic; values that are not positive are left out."""
    width, height, left, bottom, right = 900, 420, 70, 40, 220
    points = {
        n: [(k + 1, v) for k, v in enumerate(values) if v > 0 and math.isfinite(v)] for n, values in lines.items()
    }
    values = [v for line in points.values() for _, v in line]
    if not values:
        return "<p class=note>No error to draw.</p>"
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    low = max(min(low, high - 1), high - 8)
    frames = max(k for line in points.values() for k, _ in line)

    def x(frame: float) -> float:
        return left + (width - left - right) * (frame - 1) / max(frames - 1, 1)

    def y(value: float) -> float:
        share = (max(math.log10(value), low) - low) / (high - low)
        return height - bottom - (height - bottom - 30) * share

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" font-size="12" font-family="system-ui,sans-serif">']
    for power in range(low, high + 1):
        at = y(10.0**power)
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">1e{power}</text>')
    for frame in sorted({1, frames // 2 or 1, frames}):
        parts.append(f'<text x="{x(frame):.1f}" y="{height - bottom + 16}" text-anchor="middle">{frame}</text>')
    parts.append(
        f'<text x="{(left + width - right) / 2}" y="{height - 6}" text-anchor="middle">{escape(across)}</text>'
    )
    parts.append(f'<text x="6" y="12">{escape(up)}</text>')
    for k, (name, line) in enumerate((n, p) for n, p in points.items() if p):
        colour, dash = COLOURS[k % len(COLOURS)], "" if k < len(COLOURS) else ' stroke-dasharray="5 3"'
        path = " ".join(f"{x(f):.1f},{y(v):.1f}" for f, v in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        at = 20 + 16 * k
        parts.append(
            f'<line x1="{width - right + 12}" x2="{width - right + 34}" y1="{at}" y2="{at}" stroke="{colour}"{dash}/>'
        )
        parts.append(f'<text x="{width - right + 40}" y="{at + 4}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"])


def _environment(record: Mapping[str, Any]) -> str:
    suite = record["suite"]
    facts = {
        "made": record["created"],
        "command": " ".join(record["command"]),
        "hedgefox": f"{suite['version']}, commit {suite['commit']}",
        "device": record["device"],
        **record["environment"],
        **record["versions"],
    }
    facts |= {f"stage {s['name']}": f"{s['seconds']:.1f} s (budget {s['budget']} s)" for s in record["stages"]}
    facts |= {
        f"failure {k + 1}": f"{f['stage']} {f['domain']} {f['model']}: {f['error']}"
        for k, f in enumerate(record["failures"])
    }
    rows = "".join(f"<tr><td>{escape(str(k))}</td><td>{escape(str(v))}</td></tr>" for k, v in facts.items())
    return f"<h2>{escape(record['track']['name'])}: how it was measured</h2>\n<table>{rows}</table>"
