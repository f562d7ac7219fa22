"""Films to be played in a notebook's cell: the player of `hedgefox play`, in a frame of its own.

A frame keeps style and names apart, so a notebook may hold many players; each carries all that it needs (about 0.6 MB beside its
films) and needs no network. It takes the height of its content, and is dark where the notebook is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from ...contracts import MisuseError, Trajectory
from ..play import gather, images, page
from ..play.film import Shown as Film
from ..play.film import player_data

FIT = """\
<script>
(() => {
  const frame = window.frameElement;
  if (!frame) return;
  const root = document.documentElement;
  const numbers = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const bright = (c) => 0.3 * c[0] + 0.6 * c[1] + 0.1 * c[2] > 127;
  // The first ground around the frame that is not transparent, else the ink, says whether the notebook is dark. What a frame is
  // told of dark and light differs between browsers, so the page is told by name, and takes the ground for its own.
  const theme = () => {
    let around = frame.parentElement, ground = null;
    for (; around && !ground; around = around.parentElement) {
      const found = numbers(getComputedStyle(around).backgroundColor);
      if (found.length >= 3 && (found.length < 4 || found[3] > 0)) ground = found;
    }
    const dark = ground ? !bright(ground) : bright(numbers(getComputedStyle(frame.parentElement).color));
    const name = dark ? "dark" : "light", back = ground ? `rgb(${ground.slice(0, 3).join(" ")})` : "";
    if (root.dataset.theme === name && frame.dataset.ground === back) return;
    root.dataset.theme = root.style.colorScheme = frame.style.colorScheme = name;
    document.body.style.background = frame.dataset.ground = back;
  };
  theme();
  new MutationObserver(theme).observe(frame.ownerDocument.body, {attributes: true});
  const fit = () => { frame.style.height = `${Math.ceil(document.body.getBoundingClientRect().height) + 56}px`; };
  new ResizeObserver(fit).observe(document.body);
  fit();
})();
</script>
"""
HEIGHT = 520
"""Of a frame whose content cannot say its own, in pixels."""


@dataclass(frozen=True, repr=False)
class Player:
    """Films side by side; the last value of a notebook's cell plays them."""

    data: Mapping[str, Any]
    """What bench/play/film.py makes."""

    def write(self, path: str | Path) -> Path:
        """Write the page, which opens from disk; returns its path."""
        return page.write(path, [self.data])

    def png(self, path: str | Path, frame: int = 0) -> Path:
        """Write one frame as PNG; raises MisuseError for a frame that is not there."""
        return images.png(self.data, path, frame)

    def gif(self, path: str | Path) -> Path:
        """Write all frames as a GIF that loops."""
        return images.gif(self.data, path)

    def mp4(self, path: str | Path) -> Path:
        """Write all frames as MP4; needs ffmpeg, and raises MisuseError without."""
        return images.mp4(self.data, path)

    def __repr__(self) -> str:
        names = ", ".join(f"{f['name']} ({f['kind']})" for f in self.data["films"])
        frames, interval = self.data["frames"], self.data["interval"]
        size = f"{self.data['nodes']} nodes, {frames} frames of {interval:g} s"
        note = f"; {self.data['note']}" if self.data["note"] else ""
        said = f"{self.data['title']}: {names}; {size}{note}; .write(path) makes a page of it"
        return "".join(c if c.isprintable() else " " for c in said)

    def _repr_html_(self) -> str:
        whole, end, rest = page.page([self.data]).rpartition("</body>")
        inside = escape(whole + FIT + end + rest, quote=True)
        style = f"width:100%;height:{HEIGHT}px;border:0;border-radius:8px"
        return f'<iframe title="{escape(str(self.data["title"]))}" srcdoc="{inside}" style="{style}"></iframe>'


def play(
    *what: Trajectory | str | os.PathLike[str],
    domain: str | None = None,
    split: str | None = None,
    scene: int | str | None = None,
    models: Sequence[str] = (),
    names: Sequence[str] = (),
    truth: bool = True,
    colour: str = "speed",
    title: str | None = None,
    device: str = "cpu",
) -> Player:
    """Films side by side, to be played in a notebook or written as a page: films in memory, a run, a data set, or saved files.

    The first of several films is the truth, unless `truth` is False. `names` belong to films in memory, `domain` and `models` to a
    run, `split` to a run or a data set. `scene` is a number, or of a run worst, median or best. `colour`: speed, error or material.

    Raises MisuseError for what cannot be played, for films of unlike scenes, and for options that do not belong to it.
    """
    if not what:
        raise MisuseError("nothing to play; give films, or the folder of a run or of a data set")
    films = [w for w in what if isinstance(w, Trajectory)]
    if not films:
        places = tuple(Path(w) for w in what if not isinstance(w, Trajectory))
        said = None if scene is None else str(scene)
        if names:
            raise MisuseError("names belong to films in memory; what is on disk has its own")
        asked = gather.Asked(places, domain, split, said, tuple(models), truth, colour, device)
        return _titled(gather.gathered(asked)[0], title)
    if len(films) < len(what):
        raise MisuseError("films in memory and folders cannot be played together; load the films first")
    for option, value in (("domain", domain), ("split", split), ("models", models)):
        if value:
            raise MisuseError(f"{option} belongs to a run or a data set; these are films in memory")
    number = 0 if scene is None else scene
    if not isinstance(number, int):
        raise MisuseError(f"scene {scene!r} is no number; worst, median and best belong to a run, which has errors")
    shown = _named(films, names, truth)
    made = player_data(f"{films[0].scene.domain}, scene {number}", shown, scene=number, colour=colour)
    return _titled(made, title)


def _titled(data: Mapping[str, Any], title: str | None) -> Player:
    return Player(data if title is None else {**data, "title": title})


def _named(films: Sequence[Trajectory], names: Sequence[str], truth: bool) -> list[Film]:
    """Films with their names and kinds; the first of several is the truth, and so is a single one."""
    if names and len(names) != len(films):
        raise MisuseError(f"{len(names)} names for {len(films)} films; one each is right")
    usual = ["truth" if truth and k == 0 else f"film {k + 1}" for k in range(len(films))]
    kinds = ["truth" if truth and k == 0 else "film" for k in range(len(films))]
    return [Film(n, kind, film) for n, kind, film in zip(names or usual, kinds, films, strict=True)]
