"""Claims about error: one contestant against another on the same scenes, in every domain where both are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import leaderboard
from ..leaderboard import Entry
from .evidence import (
    LEARNED,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Difference,
    Evidence,
    Figure,
    Verdict,
    agreed,
    best,
    joined,
    of_kind,
)

NEED = 0.1
"""What is needed must be worth more than this share of the error."""

Judge = Callable[[Evidence, str], Verdict | None]
Pairs = Callable[[str], Sequence[tuple[str, str]]]
"""Of a domain: names of contestants of which the first is claimed to err less than the second."""

STATUS = {-1: SUPPORTED, 0: UNDECIDED, 1: REFUTED}


def fixed(*pairs: tuple[str, str]) -> Pairs:
    """The same pairs in every domain."""
    return lambda domain: pairs


def errs_less(pairs: Pairs) -> Judge:
    """The first of each pair errs less than the second: decided in a domain where a pair is, and none the other way."""

    def judge(evidence: Evidence, track: str) -> Verdict | None:
        found = _differences(evidence, track, pairs)
        by_domain = {d: agreed(-difference.decided() for _, _, difference in rows) for d, rows in found.items()}
        return _verdict(evidence, track, by_domain, found)

    return judge


def needs(name: str, *without: str) -> Judge:
    """Each of those that lack something errs more than NEED more; refuted where one of them surely errs no more than that."""

    def judge(evidence: Evidence, track: str) -> Verdict | None:
        found = _differences(evidence, track, fixed(*((other, name) for other in without)))
        by_domain = {}
        for domain, rows in found.items():
            signs = [difference.decided(NEED) for _, _, difference in rows]
            by_domain[domain] = SUPPORTED if set(signs) == {1} else REFUTED if -1 in signs else UNDECIDED
        return _verdict(evidence, track, by_domain, found)

    return judge


Rows = Sequence[tuple[Entry, Entry, Difference]]


def _differences(evidence: Evidence, track: str, pairs: Pairs) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for domain, held in evidence.on(track).items():
        known = [(held[a], held[b]) for a, b in pairs(domain) if a in held and b in held]
        rows = [(a, b, d) for a, b in known if (d := evidence.difference(a, b)) is not None]
        if rows:
            found[domain] = rows
    return found


def _verdict(
    evidence: Evidence, track: str, by_domain: Mapping[str, str], found: Mapping[str, Rows], why: str = ""
) -> Verdict | None:
    if not by_domain:
        return None
    figures = [evidence.compared(a, b, d) for rows in found.values() for a, b, d in rows]
    few = any(0 < n < 3 for rows in found.values() for _, _, d in rows for n in d.seeds)
    caution = (
        "Fewer than 3 training seeds on a side: intervals are over scenes, and must clear 10 % as well." if few else ""
    )
    return Verdict(joined(by_domain), f"{why} {caution}".strip(), by_domain, figures, (track,))


# -- specialists and generalists ---------------------------------------------------------------------------------------


def specialists_win(evidence: Evidence, track: str) -> Verdict | None:
    """The best specialist of each domain against the best generalist there."""
    found: dict[str, Rows] = {}
    last = list[Figure]()
    for domain, held in evidence.on(track).items():
        one, all_ = best(of_kind(held, "specialist")), best(of_kind(held, "generalist"))
        if one is None or all_ is None or (d := evidence.difference(one, all_)) is None:
            continue
        found[domain] = [(one, all_, d)]
        if (late := evidence.difference(one, all_, "last")) is not None:
            what = f"the same two at the last frame: {one.row['model']} less {all_.row['model']}"
            last.append(evidence.figure(one, what, late.share.to_dict(), all_))
    by_domain = {d: STATUS[rows[0][2].decided()] for d, rows in found.items()}
    made = _verdict(
        evidence, track, by_domain, found, "Each side's best at the frame that is ranked: picking favours both alike."
    )
    return None if made is None else Verdict(made.status, made.why, made.by_domain, [*made.figures, *last], made.tracks)


def massive(evidence: Evidence, track: str) -> Verdict | None:
    """Size of the smallest generalist that matches the best specialists, over the sum of their parameters."""
    swept = _swept(evidence, track)
    return swept if swept is not None else _of_board(evidence, track)


def _swept(evidence: Evidence, track: str) -> Verdict | None:
    """From a sweep of sizes."""
    rows = [r for r in evidence.size_ratios if r["track"] == track and r["domain"] == "all"]
    if not rows:
        return None
    signs = [_above(r["ratio"]) for r in rows]
    figures = [
        Figure(
            track,
            "all",
            "test",
            f"{r['generalist']}, size over the sum of specialists', equal {r['equal']}",
            r["ratio"],
        )
        for r in rows
    ]
    status = SUPPORTED if set(signs) == {1} else REFUTED if -1 in signs else UNDECIDED
    why = "Read off between swept sizes; “>” says that the largest swept one still errs more than some specialist."
    return Verdict(status, why, {}, figures, (track,))


def _above(ratio: Mapping[str, Any]) -> int:
    """1: surely above one; -1: surely not above; 0: open."""
    from .speed import surely

    return 0 if ratio["low"] is None else surely(ratio, 1.0)


def _of_board(evidence: Evidence, track: str) -> Verdict | None:
    """Without a sweep: the sizes that happen to be on the board, which can refute and not support."""
    held = evidence.on(track)
    rivals = {d: e for d, entries in held.items() if (e := best(of_kind(entries, "specialist"))) is not None}
    names = {e.row["model"] for entries in held.values() for e in of_kind(entries, "generalist")}
    whole = [n for n in sorted(names) if rivals and all(n in held[d] for d in rivals)]
    if not whole or len(rivals) < 2:
        return None
    total = sum(e.row["parameters"] for e in rivals.values())
    figures, signs = list[Figure](), list[bool]()
    for name in whole:
        lost = [d for d, e in rivals.items() if not _matches(evidence, held[d][name], e)]
        ratio = held[next(iter(rivals))][name].row["parameters"] / total
        said = "errs as little as each" if not lost else f"errs more, or it is open, in {', '.join(lost)}"
        entries = [held[d][name] for d in rivals]
        figures.append(evidence.figure(entries[0], f"parameters of {name} over the specialists' in sum; {said}", ratio))
        signs.append(not lost and ratio <= 1)
    best_ones = ", ".join(f"{e.row['model']} in {d}" for d, e in rivals.items())
    why = f"No sweep of sizes: only what is on the board. Specialists: {best_ones}; {total} parameters in sum."
    return Verdict(REFUTED if any(signs) else UNDECIDED, why, {}, figures, (track,))


def _matches(evidence: Evidence, general: Entry, special: Entry) -> bool:
    """Whether the generalist surely errs at most NEED more."""
    found = evidence.difference(general, special)
    return found is not None and found.decided(NEED) == -1


# -- baselines ---------------------------------------------------------------------------------------------------------


def beat_baselines(evidence: Evidence, track: str) -> Verdict | None:
    """The best network of each domain and split against the best baseline there."""
    signs: dict[str, list[int]] = {}
    figures, losing, number = list[Figure](), 0, 0
    for (name, domain, _), held in evidence.places.items():
        base, networks = best(of_kind(held, "baseline")), of_kind(held, *LEARNED)
        first = best(networks)
        if name != track or base is None or first is None:
            continue
        beside = [d.decided() for e in networks if (d := evidence.difference(e, base)) is not None]
        losing, number = losing + beside.count(1), number + len(beside)
        if (found := evidence.difference(first, base)) is not None:
            signs.setdefault(domain, []).append(found.decided())
            figures.append(evidence.compared(first, base, found))
        else:
            signs.setdefault(domain, []).append(0)
            figures.append(
                evidence.figure(first, f"{first.row['model']} beside {base.row['model']}: no samples", None, base)
            )
    if not figures:
        return None
    by_domain = {
        d: SUPPORTED if set(found) == {-1} else REFUTED if 1 in found else UNDECIDED for d, found in signs.items()
    }
    why = "The best network is picked by the figure itself, which favours networks where there are more of them. "
    why += f"Of all {number} pairs of a network and the best baseline of its place, the baseline surely errs less in {losing}."
    return Verdict(joined(by_domain), why, by_domain, figures, (track,))


# -- read-outs ---------------------------------------------------------------------------------------------------------

HALF = 0.5


def read_out(evidence: Evidence, track: str) -> Verdict | None:
    """Decode floor over position error of each generalist that has one."""
    by_domain, figures = {}, list[Figure]()
    for domain, held in evidence.on(track).items():
        signs = []
        for e in of_kind(held, "generalist"):
            frame = leaderboard.ranked_at(e.row, e.floor)
            share = evidence.ratio(e, "decode_floor", "position_rmse", frame)
            if share is None or share.low is None or share.high is None:
                continue
            signs.append(1 if share.low > HALF else -1 if share.high < HALF else 0)
            what = f"decode floor over position error of {e.row['model']}, frame {frame}"
            figures.append(evidence.figure(e, what, share.to_dict()))
        if signs:
            by_domain[domain] = SUPPORTED if set(signs) == {1} else REFUTED if set(signs) == {-1} else UNDECIDED
    if not by_domain:
        return None
    why = (
        "Errors of encoding and of prediction do not add up: the share is an upper bound on what a perfect "
        "read-out would save, and can pass one, since a read-out fitted to rollouts need not be best on true "
        "frames."
    )
    return Verdict(joined(by_domain), why, by_domain, figures, (track,))
