"""Claims about what latents hold: hidden parameters by probe, and what no record tests yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .evidence import REFUTED, SUPPORTED, UNDECIDED, UNTESTED, Evidence, Figure, Verdict, joined

SEEN = ("centre of mass", "mean velocity", "contact")
"""Quantities that a single frame shows; energies and events do too. What is left are the parameters of a scene."""
LATENT, CONTROLS = "latent", ("random encoder", "raw state")
KNOWN = 0.5
"""R² from which on a parameter counts as known: half of its variance."""


def knows_parameters(evidence: Evidence, track: str) -> Verdict | None:
    """Some hidden parameter of each domain read off the latents of the generalist, and not off the controls as well."""
    record = next((r for r in reversed(evidence.pooled) if r["track"]["name"] == track and r.get("probes")), None)
    if record is None:
        return None
    by_domain: dict[str, str] = {}
    figures, blind = list[Figure](), True
    for domain in sorted({p["domain"] for p in record["probes"]}):
        found = _parameters(record, domain)
        if not found:
            continue
        signs = [_sign(of_kind) for of_kind in found.values()]
        by_domain[domain] = SUPPORTED if 1 in signs else REFUTED if set(signs) == {-1} else UNDECIDED
        blind = blind and all(r["high"] < KNOWN for q in found.values() for k in CONTROLS for r in q.get(k, []))
        best = max(found, key=lambda q: (max(r["value"] for r in found[q][LATENT]), q))
        figures += [_figure(evidence, record, domain, best, kind, found[best]) for kind in (LATENT, *CONTROLS)]
        number = sum(sign == 1 for sign in signs) / len(signs)
        what = f"share of {len(signs)} hidden parameters known to jepa"
        figures.append(Figure(track, domain, "test", what, number, _seeds(found[best]), _records(evidence, record)))
    if not by_domain:
        return None
    why = "Shown: the parameter that is read off best. Probes are linear, on at most 48 scenes: what they miss may still be there."
    if blind:
        why += " The controls do not tell any of them either, so the probe itself may be too weak."
    return Verdict(joined(by_domain), why, by_domain, figures, (track,))


Found = Mapping[str, list[Mapping[str, Any]]]
"""R² by kind of features, one a training seed."""


def _parameters(record: Mapping[str, Any], domain: str) -> dict[str, Found]:
    """Of each hidden parameter that varies: R² by kind of features."""
    found: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for p in record["probes"]:
        name, r2 = p["quantity"], p["r2"]
        shown = name in SEEN or name.endswith(" energy") or name.startswith("event: ")
        if p["domain"] == domain and p["model"] == "jepa" and not shown and r2 is not None and r2["low"] is not None:
            found.setdefault(name, {}).setdefault(p["features"], []).append({**r2, "seed": p["seed"]})
    return {q: kinds for q, kinds in found.items() if LATENT in kinds}


def _sign(found: Found) -> int:
    """1: known, and better than by the controls; -1: surely not known, or no better known than the controls; 0: open."""
    latent = found[LATENT]
    rivals = [r for kind in CONTROLS for r in found.get(kind, [])]
    above = all(r["low"] > max((c["high"] for c in rivals), default=KNOWN) for r in latent)
    if all(r["low"] > KNOWN for r in latent) and above:
        return 1
    return -1 if all(r["high"] < KNOWN for r in latent) else 0


def _figure(
    evidence: Evidence, record: Mapping[str, Any], domain: str, quantity: str, kind: str, found: Found
) -> Figure:
    seeds = found.get(kind, [])
    top = max(seeds, key=lambda r: r["value"], default=None)
    what = f"R² of {quantity} from {kind}" + (", the best seed" if len(seeds) > 1 else "")
    value = None if top is None else {name: top[name] for name in ("value", "low", "high")}
    track = record["track"]["name"]
    return Figure(track, domain, "test", what, value, _seeds(found), _records(evidence, record))


def _seeds(found: Found) -> str:
    return str(len({r["seed"] for r in found[LATENT]}))


def _records(evidence: Evidence, record: Mapping[str, Any]) -> tuple[str, ...]:
    from pathlib import Path

    return tuple(sorted(Path(f).relative_to(evidence.folder).as_posix() for f in record["folders"]))


def no_record(evidence: Evidence) -> Verdict:
    """For what no track measures yet."""
    return Verdict(UNTESTED, "No record under this folder measures it.")
