"""Contestants side by side, from records alone: two by name, or every generalist against every specialist of its domains.

Two records of one track are bench/regression.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..contracts import MisuseError, ModelCard
from ..contracts.nearest import one_of
from . import _held as held
from . import leaderboard
from . import record as records
from ._held import Place
from .leaderboard import Entry
from .pool import read_pooled
from .regression import regression
from .scaling import size_law, transfer

FACTORS = ("objective", "learning_algorithm", "architecture")
"""What comes first on a card, and so first here."""
OBJECTIVES = ("latent", "state")
SCOPES = ("one", "several")

Held = Mapping[Place, Mapping[str, Entry]]


def compared(asked: Sequence[str]) -> dict[str, Any]:
    """What is asked for by [A, B, folder], as `compare`, by [folder], as `survey`, or by [old, new], as `regression.regression`.

    Raises MisuseError for anything else.
    """
    if len(asked) not in (1, 2, 3):
        raise MisuseError(f"{len(asked)} arguments; DIR alone, A B DIR, or OLD NEW is right")
    if len(asked) == 2:
        return _two_records(*asked)
    return survey(Path(asked[0])) if len(asked) == 1 else compare(asked[0], asked[1], Path(asked[2]))


def _two_records(old: str, new: str) -> dict[str, Any]:
    for name in (old, new):
        if not (Path(name) / records.FILE).is_file():
            raise MisuseError(
                f"there is no {records.FILE} in {name}; OLD NEW are the folders of two records, A B DIR two models and a folder"
            )
    return regression(Path(old), Path(new))


def compare(a: str, b: str, folder: Path) -> dict[str, Any]:
    """How two contestants of the records under a folder differ, each place from the newest record that holds it.

    Returns `differ` (card field → the two values, the three factors first); `rows`: for every track, domain and split that
    both were scored on, their leaderboard rows under "a" and "b", and at every shown frame both errors, decode floors, what lies
    between, and who wins; `costs` by domain; `training`: what each costs to train for all the domains in question, together.

    Raises MisuseError for a model that the records do not hold.
    """
    read = read_pooled(folder)
    cards = {c["card"]["name"]: c["card"] for r in read for c in r["contestants"]}
    for name in (a, b):
        if name not in cards:
            raise MisuseError(f"no model {name!r} in the records under {folder}; {one_of(name, sorted(cards))}")
    everyone = held.places(leaderboard.board_of(read))
    both = {place: (models[a], models[b]) for place, models in everyone.items() if a in models and b in models}
    first = next(iter(both.values()), None)
    mine, its = (cards[a], cards[b]) if first is None else (first[0].card, first[1].card)
    return {
        "a": a,
        "b": b,
        "differ": _differ(mine, its),
        "rows": [_pair(x, y) for x, y in both.values()],
        "costs": _costs(everyone, a, b),
        "training": [row for track in _tracks(both) for row in _training(everyone, track, a, b)],
    }


def _differ(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    # A card of an older record may lack fields that have a default since.
    usual = ModelCard("-", "baseline", *FACTORS, domains=("*",)).to_dict()
    mine, its = usual | dict(a), usual | dict(b)
    return {f: [mine[f], its.get(f)] for f in dict.fromkeys([*FACTORS, *usual, *mine]) if mine[f] != its.get(f)}


def _pair(a: Entry, b: Entry) -> dict[str, Any]:
    return {"a": a.row, "b": b.row, "comparable": a.comparable == b.comparable, "frames": held.frames(a, b)}


def _tracks(places: Mapping[Place, Any]) -> list[str]:
    return list(dict.fromkeys(track for track, _, _ in places))


def _costs(everyone: Held, a: str, b: str) -> list[dict[str, Any]]:
    found = []
    for track in _tracks(everyone):
        mine, its = (held.of_domains(everyone, track, name) for name in (a, b))
        found += [{"track": track, "domain": d, **held.beside(mine[d], its[d])} for d in mine if d in its]
    return found


def _training(everyone: Held, track: str, a: str, b: str) -> list[dict[str, Any]]:
    """The two trainings in the domains that both know; and, where one side was trained on more, that against the other with the
    best specialists of the domains that it lacks."""
    mine, its = (held.of_domains(everyone, track, name) for name in (a, b))
    common = [d for d in mine if d in its]
    found = [_row_of(track, [mine[d] for d in common], [its[d] for d in common])]
    more = {side: _trained_beyond(all_of, common) for side, all_of in (("a", mine), ("b", its))}
    for side, beyond in more.items():
        helpers = [best for d in beyond if (best := best_specialist(everyone, track, d)) is not None]
        if not helpers:
            continue
        wide = [(mine if side == "a" else its)[d] for d in [*common, *(h.row["domain"] for h in helpers)]]
        narrow = [(its if side == "a" else mine)[d] for d in common] + helpers
        found.append(_row_of(track, wide, narrow) if side == "a" else _row_of(track, narrow, wide))
    return found


def _row_of(track: str, a: Sequence[Entry], b: Sequence[Entry]) -> dict[str, Any]:
    return {"track": track, "domains": [e.row["domain"] for e in a], **held.totals(a, b)}


def _trained_beyond(entries: Mapping[str, Entry], common: Sequence[str]) -> list[str]:
    """Domains that the one training of a contestant was on beside those in common."""
    wide = {d for c in common for d in held.trained_on(entries[c])}
    return [d for d in entries if d in wide and d not in common]


# -- every generalist --------------------------------------------------------------------------------------------------


def survey(folder: Path) -> dict[str, Any]:
    """Every generalist of the records under a folder against every specialist of its domains.

    Returns `generalists`, with `against` (each specialist in each domain and split, the one with the least error first: verdicts
    by frame), `costs` (beside each specialist) and `training` (its one training against the sum of the best specialists');
    `two_by_two`, where one architecture was trained on one domain and on several, for a latent and for a state objective;
    `probes`; `size_law` and `transfer` as in the files of that name. Other sizes of a model, and models that learned some of a
    track's domains or a few trajectories, are in the last two alone.

    Raises MisuseError when the records hold no generalist.
    """
    read = read_pooled(folder)
    everyone = held.places(leaderboard.board_of(read))
    who = dict.fromkeys((p[0], n) for p, models in everyone.items() for n, e in models.items() if _is(e, "generalist"))
    if not who:
        raise MisuseError(f"no generalist in the records under {folder}; name two models: compare A B {folder}")
    return {
        "generalists": [_generalist(everyone, track, name) for track, name in who if _whole(everyone, track, name)],
        "two_by_two": two_by_two(everyone),
        "probes": probes(read),
        "size_law": size_law.survey(folder),
        "transfer": transfer.survey(folder),
    }


def _is(entry: Entry, kind: str) -> bool:
    return bool(entry.row["kind"] == kind)


def _whole(everyone: Held, track: str, name: str) -> bool:
    return all(_learned(entry) for entry in held.of_domains(everyone, track, name).values())


def _learned(entry: Entry) -> bool:
    """Whether a model learned all that there is of a domain, in the size that its name stands for."""
    card = entry.card
    known = entry.row["domain"] in (card.get("learned") or [entry.row["domain"]])
    return known and not card.get("size_of") and not card.get("shots")


def specialists(everyone: Held, place: Place) -> list[Entry]:
    """The specialists at a place, the one with the least error first."""
    return sorted(
        (e for e in everyone.get(place, {}).values() if _is(e, "specialist") and _learned(e)),
        key=lambda e: leaderboard.error(e.row),
    )


def best_specialist(everyone: Held, track: str, domain: str) -> Entry | None:
    """The specialist of a domain with the least error on the split `test`."""
    return next(iter(specialists(everyone, (track, domain, "test"))), None)


def _generalist(everyone: Held, track: str, name: str) -> dict[str, Any]:
    mine = held.of_domains(everyone, track, name)
    against, prices = [], []
    for place in (p for p, models in everyone.items() if p[0] == track and name in models):
        for k, e in enumerate(specialists(everyone, place)):
            said = {"domain": place[1], "split": place[2], "model": e.row["model"], "best": k == 0}
            pair = _pair(everyone[place][name], e)
            against.append({**said, "comparable": pair["comparable"], "frames": pair["frames"]})
            if place[2] == mine[place[1]].row["split"]:
                prices.append({"domain": place[1], "model": e.row["model"], **held.beside(mine[place[1]], e)})
    best = [rival for d in mine if (rival := best_specialist(everyone, track, d)) is not None]
    whole = _row_of(track, [mine[e.row["domain"]] for e in best], best) if best else None
    return {
        "track": track,
        "model": name,
        "domains": list(mine),
        "against": against,
        "costs": prices,
        "training": whole,
    }


# -- two by two --------------------------------------------------------------------------------------------------------


def two_by_two(everyone: Held) -> list[dict[str, Any]]:
    """Position RMSE (at frame 20, or the last of a shorter horizon) on `test` of models of one architecture, in four cells.

    Cells are {one, several} domains trained on × {latent, state} in the objective, each a list of models; only domains in which
    none of the four is empty.
    """
    found = []
    for (track, domain, split), models in everyone.items():
        if split == "test":
            for architecture, cells in _cells(models.values()).items():
                if all(cells[scope][objective] for scope in SCOPES for objective in OBJECTIVES):
                    found.append({"track": track, "domain": domain, "architecture": architecture, "cells": cells})
    return found


def _cells(entries: Any) -> dict[str, dict[str, dict[str, list[dict[str, Any]]]]]:
    grouped: dict[str, dict[str, dict[str, list[dict[str, Any]]]]] = {}
    for e in entries:
        objective = _objective(e.card["objective"])
        if objective is None or not held.trained_on(e):
            continue
        empty = {scope: {o: list[dict[str, Any]]() for o in OBJECTIVES} for scope in SCOPES}
        scope = "several" if len(held.trained_on(e)) > 1 else "one"
        cells = grouped.setdefault(e.card["architecture"], empty)
        cells[scope][objective].append({"model": e.row["model"], "position_rmse": leaderboard.shown(e.row)})
    return grouped


def _objective(text: str) -> str | None:
    """Whether an objective is in latents or in the state, by which of the two words it says first."""
    said = [(text.index(word), word) for word in OBJECTIVES if word in text]
    return min(said)[1] if said else None


# -- probes ------------------------------------------------------------------------------------------------------------


def probes(read: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What probes read off each kind of features, one row a quantity: `r2` by kind, null for a quantity that does not vary."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in sorted(read, key=lambda r: r["created"]):
        for p in record.get("probes", []):
            where = (record["track"]["name"], p["domain"], p["model"], p["seed"], p["quantity"])
            names = ("track", "domain", "model", "seed", "quantity")
            found.setdefault(where, {**dict(zip(names, where, strict=True)), "r2": {}})["r2"][p["features"]] = p["r2"]
    return list(found.values())
