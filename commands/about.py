"""What there is, and what this machine can do."""

from __future__ import annotations

import argparse
from typing import Any

from .._terminal import Answer, show_table
from ._arguments import verb


def add_list(verbs: Any) -> None:
    """`list`."""
    made = verb(verbs, "list", "what there is: domains, models, metrics or tracks", "hedgefox list models", do_list)
    what = "domains, models, metrics or tracks"
    made.add_argument("what", choices=("domains", "models", "metrics", "tracks"), metavar="KIND", help=what)


def do_list(args: argparse.Namespace) -> Answer:
    """Names and the few facts that tell them apart."""
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
