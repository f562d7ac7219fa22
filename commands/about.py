"""What there is, and what this machine can do."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .._terminal import Answer, show_lines, show_table
from ._arguments import verb


def add_list(verbs: Any) -> None:
    """`list`."""
    what = "domains, models, metrics, tracks or pretrained"
    made = verb(verbs, "list", f"what there is: {what}", "hedgefox list models\n  hedgefox list pretrained", do_list)
    kinds = ("domains", "models", "metrics", "tracks", "pretrained")
    made.add_argument("what", choices=kinds, metavar="KIND", help=f"{what} (weights that records hold)")
    made.add_argument(
        "--results", type=Path, metavar="DIR", help="of pretrained: a folder of records; default: the checkout's"
    )


def do_list(args: argparse.Namespace) -> Answer:
    """Names and the few facts that tell them apart."""
    from ..contracts import MisuseError

    if args.what == "pretrained":
        return _pretrained(args.results)
    if args.results is not None:
        raise MisuseError(f"--results is for `hedgefox list pretrained`; {args.what} are not read from records")
    rows = {"domains": _domains, "models": _models, "metrics": _metrics, "tracks": _tracks}[args.what]()
    return Answer({args.what: rows}, lambda console: show_table(console, rows))


def _domains() -> list[dict[str, Any]]:
    from ..contracts import registry

    found = [registry.domain(name) for name in registry.names("simulators")]
    names = ("name", "version", "frame_interval", "trust_threshold", "observable_name", "families")
    return [{n: getattr(d, n) for n in names} for d in found]


def _models() -> list[dict[str, Any]]:
    from .. import surrogates
    from ..contracts import registry

    found = [full for name in surrogates.names() for full in (name, *surrogates.variants(name))]
    files = {name: registry.model(name) for name in found}
    return [
        {"name": n, "kind": f.KIND, "domains": list(f.DOMAINS), "trainable": surrogates.trainable(n)}
        | {"scope": surrogates.scope(n), "note": surrogates.note(n)}
        for n, f in files.items()
    ]


def _metrics() -> list[dict[str, Any]]:
    from ..bench._metric import every_metric

    return [{"id": m.id, "unit": m.unit, "better": m.better, "domains": list(m.domains)} for m in every_metric()]


def _tracks() -> list[dict[str, Any]]:
    from ..contracts.track import TRACKS

    found = [make() for make in TRACKS.values()]
    names = ("name", "machine", "size", "training_steps", "trajectories", "stage_budget")
    return [{n: getattr(t, n) for n in names} for t in found]


def _pretrained(results: Path | None) -> Answer:
    """The weights that records hold, by the names that `--pretrained` takes; holds when all are those that were scored."""
    from ..bench.board_text import cell
    from ..bench.pretrained import table

    rows = table(results)
    said = {True: "sealed", False: "ANOTHER", None: "not named"}
    shown = [
        {n: row[n] for n in ("name", "model")}
        | {"domains": ", ".join(row["domains"]), "track": row["track"], "seed": row["seed"], "recorded": row["made"]}
        | {"parameters": row["parameters"], "bytes": row["bytes"]}
        | {"error [m]": ", ".join(cell(e) for e in row["position_rmse_20"].values()), "hash": said[row["holds"]]}
        for row in rows
    ]
    notes = (
        "error: position RMSE at frame 20 of `test` on the record's own board, over all of that record's seeds, by domain",
        "hash: whether a record names it, and these weights have it",
    )

    def show(console: Any) -> None:
        show_table(console, shown)
        show_lines(console, *notes)

    return Answer({"pretrained": rows}, show, holds=all(row["holds"] is not False for row in rows))


def add_doctor(verbs: Any) -> None:
    """`doctor`."""
    verb(verbs, "doctor", "what this machine can do and what is missing", "hedgefox doctor", do_doctor)


def do_doctor(args: argparse.Namespace) -> Answer:
    """Devices, versions, memory; does not hold when a needed library is missing."""
    from ..bench.environment import doctor

    found = doctor()
    flat = {**found, **found["environment"], **found["versions"]}
    rows = [{"what": k, "found": v} for k, v in flat.items() if not isinstance(v, dict)]
    return Answer(found, lambda console: show_table(console, rows), holds=not found["missing"])
