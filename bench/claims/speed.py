"""Claims about time: how fast at equal accuracy, what plain ratios say, what pays back, what a coarse setting does better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..equal_accuracy import LESS, MORE
from ..leaderboard import Entry
from .evidence import LEARNED, REFUTED, SUPPORTED, UNDECIDED, UNTESTED, Evidence, Figure, Verdict, joined, of_kind, told

HUNDRED = 100.0
HALF = "speedup_equal_accuracy"


def surely(bound: Mapping[str, Any], than: float) -> int:
    """1: the whole interval is above, -1: below, 0: neither; a bound says something about its own side alone."""
    flags = {name: bound.get(name) or "" for name in ("flag", "low_flag", "high_flag")}
    if bound["low"] > than and LESS not in (flags["flag"], flags["low_flag"]):
        return 1
    if bound["high"] < than and MORE not in (flags["flag"], flags["high_flag"]):
        return -1
    return 0


def timed(evidence: Evidence, track: str) -> dict[str, list[Entry]]:
    """By domain, the learned contestants with a figure at equal accuracy."""
    found = {d: [e for e in of_kind(held, *LEARNED) if e.row[HALF]] for d, held in evidence.on(track).items()}
    return {d: entries for d, entries in found.items() if entries}


def left_open(evidence: Evidence, track: str, by_domain: dict[str, str], but: str) -> tuple[dict[str, str], str]:
    """The verdicts with `but` open in domains where a network was scored and not timed, and a sentence that says so.

    Of a claim about some network that one may be the one; of a claim about every network, the exception.
    """
    scored = {d: [e for e in of_kind(held, *LEARNED) if not e.row[HALF]] for d, held in evidence.on(track).items()}
    names = {
        d: sorted({str(e.row["model"]) for e in scored[d]}) for d in by_domain if by_domain[d] == but and scored.get(d)
    }
    if not names:
        return by_domain, ""
    said = "; ".join(f"{', '.join(models)} in {d}" for d, models in names.items())
    return by_domain | dict.fromkeys(names, UNDECIDED), f" Scored and not timed, so open: {said}."


def devices(evidence: Evidence, found: Mapping[str, Sequence[Entry]]) -> list[str]:
    """What was timed on, sorted."""
    return sorted({evidence.device(e) for entries in found.values() for e in entries})


def faster_than(factor: float, *, headline: bool) -> Callable[[Evidence, str], Verdict | None]:
    """Some learned contestant's S_acc above a factor; `headline`: decided on CUDA alone."""

    def judge(evidence: Evidence, track: str) -> Verdict | None:
        found = timed(evidence, track)
        if not found:
            return None
        by_domain = {d: _some([surely(e.row[HALF], factor) for e in entries]) for d, entries in found.items()}
        fastest = {
            d: max(entries, key=lambda e: (e.row[HALF]["value"], e.row["model"])) for d, entries in found.items()
        }
        figures = [evidence.figure(e, f"S_acc of {e.row['model']}, the largest", e.row[HALF]) for e in fastest.values()]
        on = devices(evidence, found)
        number = ", ".join(f"{len(entries)} in {d}" for d, entries in found.items())
        by_domain, left = left_open(evidence, track, by_domain, REFUTED)
        why = f"Timed on {' and '.join(on)}; the largest of the networks' S_acc is shown ({number}).{left}"
        if headline and not any(device.startswith("cuda") for device in on):
            why += f" A CPU's ratio is no headline, so this is left open; there it would be {told(by_domain)}."
            return Verdict(UNTESTED, why, {}, figures, (track,))
        return Verdict(joined(by_domain), why, by_domain, figures, (track,), " and ".join(on))

    return judge


def _some(signs: Sequence[int]) -> str:
    return SUPPORTED if 1 in signs else REFUTED if set(signs) == {-1} else UNDECIDED


def overstated(evidence: Evidence, track: str) -> Verdict | None:
    """The plain ratio to the reference above the one at equal accuracy, for every network."""
    by_domain, figures = {}, list[Figure]()
    for domain, entries in timed(evidence, track).items():
        signs = []
        for e in entries:
            plain, equal = e.row["metrics"].get("speedup_reference@1"), e.row[HALF]
            if plain is None or plain["low"] is None:
                continue
            signs.append(_apart(plain, equal))
            figures.append(_beside(evidence, e, plain, equal))
        if signs:
            by_domain[domain] = SUPPORTED if set(signs) == {1} else REFUTED if max(signs) < 0 else UNDECIDED
    if not by_domain:
        return None
    on = " and ".join(devices(evidence, timed(evidence, track)))
    by_domain, left = left_open(evidence, track, by_domain, SUPPORTED)
    why = (
        "By construction no network can gain more at equal accuracy than plainly, but for noise; how much less is the finding. "
        "The contestant's own time is in both ratios, so the factor between them is the reference's time over"
        " that of the cheapest setting that errs no more; with “<” it is at least that. It says how much of a"
        " plain ratio is the ladder's."
    )
    return Verdict(joined(by_domain), why + left, by_domain, figures, (track,), on)


def _apart(plain: Mapping[str, Any], equal: Mapping[str, Any]) -> int:
    if plain["low"] > equal["high"] and MORE not in (equal["flag"], equal.get("high_flag")):
        return 1
    return -1 if plain["high"] < equal["low"] and LESS not in (equal["flag"], equal.get("low_flag")) else 0


def _beside(evidence: Evidence, e: Entry, plain: Mapping[str, Any], equal: Mapping[str, Any]) -> Figure:
    sign = {LESS: MORE, MORE: LESS}.get(equal["flag"], "")
    what = f"plain ratio {plain['value']:.3g} over S_acc {equal['flag']}{equal['value']:.3g}, {e.row['model']}"
    factor = {"value": plain["value"] / equal["value"], "low": None, "high": None, "flag": sign}
    return evidence.figure(e, what, factor)


def pays_back(evidence: Evidence, track: str) -> Verdict | None:
    """Some network with a finite number of rollouts to break even."""
    by_domain, figures = {}, list[Figure]()
    for domain, entries in timed(evidence, track).items():
        known = [e for e in entries if e.row["break_even_rollouts"] is not None]
        if not known:
            continue
        paying = [e for e in known if e.row["break_even_rollouts"]["value"] is not None]
        share = {"value": len(paying) / len(known), "low": None, "high": None}
        figures.append(
            evidence.figure(known[0], f"share of {len(known)} networks that ever pay back", share, *known[1:])
        )
        figures += [
            evidence.figure(e, f"rollouts that pay back {e.row['model']}", e.row["break_even_rollouts"]) for e in paying
        ]
        # That S_acc may still be above one leaves it open.
        open_ones = [e for e in known if surely(e.row[HALF], 1.0) == 0]
        by_domain[domain] = (
            SUPPORTED if any(surely(e.row[HALF], 1.0) == 1 for e in paying) else UNDECIDED if open_ones else REFUTED
        )
    if not by_domain:
        return None
    on = " and ".join(devices(evidence, timed(evidence, track)))
    by_domain, left = left_open(evidence, track, by_domain, REFUTED)
    why = f"Tuning is counted where a card states it; where none is stated, networks are favoured.{left}"
    return Verdict(joined(by_domain), why, by_domain, figures, (track,), on)


def dominated(evidence: Evidence, track: str) -> Verdict | None:
    """Every network of a domain both slower and worse than some setting of the simulator."""
    by_domain, figures = {}, list[Figure]()
    for domain, entries in timed(evidence, track).items():
        beaten = [e for e in entries if e.row[HALF]["dominated"]]
        by_domain[domain] = SUPPORTED if len(beaten) == len(entries) else REFUTED
        free = [e.row["model"] for e in entries if e not in beaten]
        what = f"share of {len(entries)} networks that are dominated" + (f"; not: {', '.join(free)}" if free else "")
        share = {"value": len(beaten) / len(entries), "low": None, "high": None}
        figures.append(evidence.figure(entries[0], what, share, *entries[1:]))
    if not by_domain:
        return None
    on = " and ".join(devices(evidence, timed(evidence, track)))
    by_domain, left = left_open(evidence, track, by_domain, SUPPORTED)
    why = f"By median time and mean error of the observable, without intervals; only timed settings count.{left}"
    return Verdict(joined(by_domain), why, by_domain, figures, (track,), on)
