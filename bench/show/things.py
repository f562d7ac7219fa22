"""What has a folder, or several tables: a data set, a training, the results of scoring and running, a comparison, a page.

Each behaves as what it stands for: a folder goes wherever a path does, a record or a comparison is a mapping of its fields.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...contracts import MisuseError, Model, ModelCard, Trajectory
from .. import board_text, compare_tables, leaderboard
from ..leaderboard import Entry
from ..play import images
from ..report.look import Chart, Look, axis, trace
from . import charts
from .player import Player, play
from .render import Part
from .table import Shown, Table, plain

UNITS = {
    **{f"position_rmse_{name}": "m" for name in leaderboard.SHOWN},
    "trust_horizon": "frames",
    "latency_ms": "ms",
    "throughput_nodes_per_s": "1/s",
    "bytes": "bytes",
    "peak_memory_bytes": "bytes",
    "seconds": "s",
    "budget": "s",
}
"""Of columns whose name does not end in its unit, and of estimates."""
ESTIMATES = (*(f"position_rmse_{name}" for name in leaderboard.SHOWN), "speedup_equal_accuracy")
PICTURES = 3
"""Frames of the film that a data set shows."""


class Folder(os.PathLike[str]):
    """Something on disk that goes wherever a path does."""

    @property
    def place(self) -> Path:
        """Where it lies."""
        raise NotImplementedError

    def __fspath__(self) -> str:
        return str(self.place)

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        return self.place / name


class Fields(Mapping[str, Any]):
    """Something that is looked up by the names of its fields."""

    @property
    def held(self) -> Mapping[str, Any]:
        """The fields."""
        raise NotImplementedError

    def __getitem__(self, name: str) -> Any:
        return self.held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


@dataclass(frozen=True, repr=False)
class Dataset(Folder, Shown):
    """A data set on disk."""

    folder: Path

    @property
    def place(self) -> Path:
        """Where it lies."""
        return self.folder

    @property
    def made(self) -> dict[str, Any]:
        """What it was made as: domain, track, size, siblings, seed, generator version, lengths."""
        found: dict[str, Any] = self._said["made"]
        return found

    @property
    def counts(self) -> dict[str, int]:
        """Trajectories by split."""
        return {row["split"]: row["trajectories"] for row in self._said["splits"]}

    @property
    def manifest(self) -> str:
        """The name of its exact content: SHA-256 over its shards."""
        from ...datasets import manifest_hash

        return manifest_hash(self.folder)

    @property
    def tables(self) -> dict[str, Table]:
        """Its splits, and what it was made as."""
        said = self._said
        splits = plain("splits", said["splits"], units={"seconds": "s", "bytes": "bytes"})
        return {"splits": splits, "made": plain("made", [said["made"]], units={"frame_interval_s": "s"})}

    @property
    def headline(self) -> str:
        """Its domain and folder."""
        return f"data set of {self.made['domain']} in {self.folder}"

    @property
    def extra_html(self) -> str:
        """A few frames of its first finished film, without a script."""
        done = [row["split"] for row in self._said["splits"] if row["finished"] == row["trajectories"]]
        if not done:
            return ""
        split = "test" if "test" in done else done[0]
        data = self.play(split).data
        last = data["frames"] - 1
        frames = [round(k * last / (PICTURES - 1)) for k in range(PICTURES)]
        said = f"scene 0 of {split} at frames {', '.join(map(str, frames))}; .play(split, scene) plays it"
        return "".join(_picture(data, k) for k in frames) + f'<p class="note">{escape(said)}</p>'

    def film(self, split: str = "test", scene: int = 0, device: str = "cpu") -> Trajectory:
        """One trajectory; raises MisuseError for one that is not there."""
        from ...datasets import load_one

        return load_one(self.folder, split, scene, device)

    def load(self, split: str = "test", device: str = "cpu") -> Trajectory:
        """A whole split as one batch."""
        from ...datasets import load

        return load(self.folder, split, device)

    def play(self, split: str = "test", scene: int = 0, colour: str = "speed") -> Player:
        """One trajectory, to be played."""
        title = f"{self.made['domain']}, {split}, scene {scene}"
        return play(self.film(split, scene), names=[f"scene {scene}"], colour=colour, title=title)

    @property
    def _said(self) -> dict[str, Any]:
        from ...datasets import describe

        return describe(self.folder)


def _picture(data: Mapping[str, Any], frame: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        content = images.png(data, Path(folder) / "frame.png", frame).read_bytes()
    source = base64.b64encode(content).decode()
    style = "width:31%;max-width:300px;margin-right:1%;border-radius:6px;display:inline-block"
    return f'<img alt="frame {frame}" src="data:image/png;base64,{source}" style="{style}">'


@dataclass(frozen=True, repr=False)
class Trained(Folder, Shown):
    """A trained model: in memory, and its weights, card and log on disk."""

    folder: Path
    model: Model

    @property
    def place(self) -> Path:
        """Where its weights lie."""
        return self.folder

    @property
    def card(self) -> ModelCard:
        """What it is."""
        return self.model.card

    @property
    def tables(self) -> dict[str, Table]:
        """Its card, and what was noted while it was trained."""
        said = self.card.to_dict()
        rows = [
            {"field": k, "value": v}
            for k, v in said.items()
            if v is not None and v is not False and v not in ("", [], {})
        ]
        shown = Part("card", ("", ""), tuple((r["field"], plain("", [r]).shown[0].rows[0][1]) for r in rows))
        log = tuple(self.log)
        names = list(dict.fromkeys(name for row in log for name in row))
        return {
            "card": Table("card", tuple(rows), (shown,)),
            "log": Table("log", tuple({n: row.get(n) for n in names} for row in log), ()),
        }

    @property
    def headline(self) -> str:
        """Its name and folder."""
        return f"{self.card.name}, trained, in {self.folder}"

    @property
    def log(self) -> list[dict[str, Any]]:
        """What was noted in training, an entry a look; empty for what is solved and not iterated."""
        path = self.folder / "log.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        """As of any Model: the film goes on for `n_frames` new frames."""
        return self.model.rollout(past, n_frames)

    def figure(self) -> Any:
        """Its loss over the steps, as a plotly Figure; raises MisuseError for what is solved and not iterated."""
        rows = [row for row in self.log if "loss" in row]
        if not rows:
            raise MisuseError(f"{self.card.name} has no losses to draw: it is solved and not iterated")
        names = [n for n in dict.fromkeys(n for row in rows for n in row) if n == "loss" or n.startswith("loss_")]
        lines = []
        for k, name in enumerate(names):
            known = [row for row in rows if name in row]
            steps, losses = [row["step"] for row in known], [row[name] for row in known]
            lines.append(trace(name, Look(f"@{k}", "circle", "solid", ""), steps, losses, mode="lines+markers"))
        return charts.drawn(
            [Chart(self.card.name, {}, lines, {"xaxis": axis("step"), "yaxis": axis("loss", type="log")})]
        )


@dataclass(frozen=True, repr=False)
class Results(Folder, Shown, Fields):
    """One or several records: what was scored, timed or run. As a mapping, the newest record."""

    records: tuple[Mapping[str, Any], ...]
    """Oldest first, those that differ in training seeds alone taken together."""
    folder: Path | None = None
    """Where they lie, if they do."""

    @property
    def place(self) -> Path:
        """Where they lie; raises MisuseError where nothing was written."""
        if self.folder is None:
            raise MisuseError("these results were not written; give out=FOLDER to keep them")
        return self.folder

    @property
    def record(self) -> Mapping[str, Any]:
        """The newest record, plain data."""
        return self.records[-1]

    @property
    def board(self) -> Table:
        """The leaderboard."""
        return board(leaderboard.board_of(self.records))

    @property
    def tables(self) -> dict[str, Table]:
        """The board, timings, stages with their budgets, and what failed, as far as there is any."""
        timed = [{"domain": s["domain"]} | board_text.timing(s) for r in self.records for s in r["speed"]]
        made = {
            "board": self.board,
            "timings": plain("timings", timed, units={"latency_ms": "ms", "core_time_ms": "ms", "nodes_per_s": "1/s"}),
            "stages": plain("stages", self.record["stages"], units=UNITS),
            "failures": plain("failed", [f for r in self.records for f in r["failures"]]),
        }
        return {name: table for name, table in made.items() if table}

    @property
    def parts(self) -> list[Part]:
        """The board; timings where they are all there is; what failed."""
        shown = [self.board.parts if any(r["scores"] for r in self.records) else self.tables["timings"].parts]
        shown += [self.tables["failures"].parts] if "failures" in self.tables else []
        return [part for parts in shown for part in parts]

    @property
    def headline(self) -> str:
        """Where the results lie."""
        return "results, not written" if self.folder is None else f"results in {self.folder}"

    @property
    def note(self) -> str:
        """How to read the board."""
        return board_text.NOTE

    @property
    def figures(self) -> list[str]:
        """Names of the figures that can be asked for."""
        return list(charts.families(self.folder, self.records))

    def figure(self, name: str = "over_time", *, models: Sequence[str] = (), **wanted: str) -> Any:
        """One of the report's figures, as plotly Figure: over_time, cost, …; `models` and what it is of narrow it.

        Raises MisuseError naming what there is, and where the records hold nothing of the kind.
        """
        if name == "over_time" and self.folder is None:
            raise MisuseError("curves are kept on disk; give out=FOLDER to keep them, and they can be drawn")
        return charts.figure(self.folder, self.records, name, models, **wanted)

    @property
    def held(self) -> Mapping[str, Any]:
        """The newest record."""
        return self.record


def board(entries: Sequence[Entry]) -> Table:
    """A board as a table: a part a track, domain and split. Its rows have their place as text and as two numbers."""
    headings = [h for h in board_text.HEADINGS if h[0] not in board_text.LEFT_OUT]
    titles = tuple(h for _, h in headings)
    shown = [
        Part(title, titles, tuple(tuple(board_text.cells(e, headings)) for e in group), board_text.caption(group))
        for title, group in board_text.sections(entries).items()
    ]
    rows = tuple({**e.row, "rank": e.rank} | _places(e.rank) for e in entries)
    return Table("board", rows, tuple(shown), board_text.NOTE, UNITS | _metric_units(), ESTIMATES)


def _places(rank: str) -> dict[str, int | None]:
    """A place, or an interval of places, as numbers."""
    ends = [int(n) for n in rank.split("–") if n.isdecimal()]
    return {"rank_low": ends[0] if ends else None, "rank_high": ends[-1] if ends else None}


def _metric_units() -> dict[str, str]:
    from .._metric import every_metric

    return {f"metrics/{m.id}": m.unit for m in every_metric()}


@dataclass(frozen=True, repr=False)
class Comparison(Shown, Fields):
    """Two contestants, all generalists, or two records side by side. A mapping of what was found."""

    found: Mapping[str, Any]
    folder: Path | None = None
    """The records' folder; None for two records."""

    @property
    def tables(self) -> dict[str, Table]:
        """The tables of `hedgefox compare`, by title."""
        return {title: plain(title, rows) for title, rows in compare_tables.tables(self.found) if rows}

    @property
    def headline(self) -> str:
        """What is compared."""
        if "a" in self.found:
            return f"{self.found['a']} beside {self.found['b']}"
        return f"{self.found['old']} beside {self.found['new']}" if "old" in self.found else "every generalist"

    def figure(self, **wanted: str) -> Any:
        """The errors of two contestants over time, or the two-by-two of all generalists, as plotly Figure."""
        if self.folder is None:
            raise MisuseError("two records have no figure in common; hf.load(FOLDER).figure() draws either")
        held = results(self.folder)
        if "a" not in self.found:
            return held.figure("two_by_two", **wanted)
        return held.figure(models=[self.found["a"], self.found["b"]], **wanted)

    @property
    def held(self) -> Mapping[str, Any]:
        """What was found."""
        return self.found


def results(folder: Path) -> Results:
    """The records under a folder; raises MisuseError when there is none."""
    from ..pool import read_pooled

    return Results(tuple(read_pooled(folder)), folder)


@dataclass(frozen=True)
class Page(Folder):
    """A page that was written; a notebook links to it."""

    path: Path

    @property
    def place(self) -> Path:
        """Where it lies."""
        return self.path

    def __repr__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        # Relative where it can be: notebook servers serve what lies below the notebook, and nothing by its place on the disk.
        found = self.path if not self.path.is_absolute() else Path(os.path.relpath(self.path))
        return f'<a href="{escape(quote(found.as_posix()))}" target="_blank">{escape(str(self.path))}</a>'
