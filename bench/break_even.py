"""Break-even: after how many rollouts a learned contestant has paid back what it cost.

    N* = (C_data + C_train + C_tune + C_compile) / (c_sim(ε) - c_own)

c_own is the time of one rollout, c_sim(ε) that of the cheapest simulator setting which errs no more (bench/equal_accuracy.py);
where the latter is a bound, so is N*. It never pays where c_sim(ε) ≤ c_own. All in seconds of one device: data are the simulations
of the splits that training reads, compilation what the first call takes longer than later ones, tuning what a card states for it;
where it states nothing, `tuning_known` is false and N* is too small by what was tried. A generalist is charged twice: with all that
it cost, and with its share (training and tuning over its domains, and the data of this one), since the other domains' rollouts pay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .equal_accuracy import EXACT, LESS, MORE

NEVER = "never"
"""Flag of what no number of rollouts pays back."""


def rollouts(cost: float, own: float, simulator: float, flag: str) -> dict[str, Any] | None:
    """N* for a cost [s], the time of an own rollout and of the simulator's at equal accuracy [s], with its flag ("<", ">" or "").

    `{"value": None, "flag": "never"}` where it never pays; None where the bound leaves it open.
    """
    saved = simulator - own
    if saved <= 0:
        # At most this much is saved: nothing. At least this much: it may still pay.
        return None if flag == MORE else {"value": None, "low": None, "high": None, "flag": NEVER}
    turned = {LESS: MORE, MORE: LESS, EXACT: EXACT}[flag]
    return {"value": cost / saved, "low": None, "high": None, "flag": turned}


def with_break_even(
    speed: Sequence[Mapping[str, Any]],
    cards: Mapping[tuple[str, str], Mapping[str, Any]],
    data_seconds: Mapping[str, float],
) -> list[dict[str, Any]]:
    """Timing entries with `break_even`: {"full", "share", "costs"}, None for what was not trained or has no equal-accuracy figure.

    `cards` by domain and model; `data_seconds` are what the splits train and valid of each domain took to simulate.
    """
    return [{**e, "break_even": _of_entry(e, cards.get((e["domain"], e["model"])), data_seconds)} for e in speed]


def _of_entry(
    entry: Mapping[str, Any], card: Mapping[str, Any] | None, data_seconds: Mapping[str, float]
) -> dict[str, Any] | None:
    equal = entry["speedup_equal_accuracy"]
    if card is None or equal is None or card["training_data"] is None:
        return None
    learned = card.get("learned") or [d for d in card["domains"] if d != "*"] or [entry["domain"]]
    if any(d not in data_seconds for d in learned):
        return None
    own = entry["latency"]["median_s"]
    compiled = max(0.0, entry["latency"]["first_call_s"] - own)
    trained = card["training_device_seconds"]
    tuned = card.get("tuning_device_seconds")
    learning = {"training_s": trained, "tuning_s": tuned or 0.0}
    costs = {"data_s": sum(data_seconds[d] for d in learned), **learning, "compile_s": compiled}
    shared = {name: seconds / len(learned) for name, seconds in learning.items()}
    share = {"data_s": data_seconds[entry["domain"]], **shared, "compile_s": compiled}
    simulator = equal["value"] * own
    full, part = (rollouts(sum(c.values()), own, simulator, equal["flag"]) for c in (costs, share))
    part = part if len(learned) > 1 else None
    return {"full": full, "share": part, "costs": costs, "tuning_known": tuned is not None}
