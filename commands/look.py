"""Films to look at."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .._terminal import Answer, show_lines
from ._arguments import device, verb

EXAMPLES = """\
hedgefox play runs/quick --domain fluid --scene worst
  hedgefox play data/fluid --split test --scene 3 --gif dam.gif
  hedgefox play truth.h5 jepa.h5 --colour error --out films.html"""


def add_play(verbs: Any) -> None:
    """`play`."""
    what = "films side by side and overlaid, as a page that opens from disk: of a run, of a data set, or of saved files"
    made = verb(verbs, "play", what, EXAMPLES, do_play)
    made.add_argument(
        "what", nargs="+", type=Path, metavar="RUN|DATA|FILE", help="files that hf.save wrote (the first is the truth)"
    )
    made.add_argument("--domain", metavar="D", help="of a run; may be left out where it has one")
    made.add_argument("--split", default=None, metavar="S", help="of a run or a data set (default: test)")
    made.add_argument(
        "--scene", default=None, metavar="N", help="a number; of a run also worst, median (its default), best"
    )
    made.add_argument(
        "--model",
        nargs="+",
        default=[],
        metavar="M",
        help="of a run; default: best generalist, specialist, coarsest rung",
    )
    made.add_argument("--no-truth", action="store_true", help="the first file is a contestant like the others")
    made.add_argument("--colour", choices=("speed", "error", "material"), default="speed", help="default: speed")
    made.add_argument("--out", type=Path, metavar="FILE", help="the page; default: NAME.html beside what is shown")
    made.add_argument("--gif", type=Path, metavar="FILE", help="all frames as GIF")
    made.add_argument("--mp4", type=Path, metavar="FILE", help="all frames as MP4; needs ffmpeg")
    made.add_argument("--png", type=Path, metavar="FILE", help="one frame as PNG")
    made.add_argument("--frame", type=int, default=0, metavar="K", help="of --png, from 0 (default: 0)")
    device(made)


@contextmanager
def _step(args: argparse.Namespace, what: str) -> Iterator[None]:
    """A step that nobody knows the length of."""
    args.tell(what, 0, 0)
    yield
    args.tell(what, 1, 1)


def do_play(args: argparse.Namespace) -> Answer:
    """Gather the films, then write what was asked for."""
    from ..bench.play import gather, images, page

    with _step(args, "gather films"):
        data, beside = gather.gathered(gather.Asked(
            tuple(args.what), domain=args.domain, split=args.split, scene=args.scene, models=tuple(args.model),
            truth=not args.no_truth, colour=args.colour, device=args.device,
        ))  # fmt: skip
    written = {"page": str(page.write(args.out or beside, [data]))}
    if args.png is not None:
        written["png"] = str(images.png(data, args.png, args.frame))
    if args.gif is not None:
        with _step(args, f"paint {args.gif}"):
            written["gif"] = str(images.gif(data, args.gif))
    if args.mp4 is not None:
        with _step(args, f"paint {args.mp4}"):
            written["mp4"] = str(images.mp4(data, args.mp4))
    return Answer(
        {**written, "note": data["note"]}, lambda console: show_lines(console, *written.values(), data["note"])
    )
