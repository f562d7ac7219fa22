"""Break-even on hand-made costs."""

from __future__ import annotations

from typing import Any

import pytest
from hedgefox.bench.break_even import rollouts, with_break_even


def entry(value: float, flag: str = "", model: str = "net", latency: float = 2.0) -> dict[str, Any]:
    return {
        "domain": "fluid", "model": model, "speedup_equal_accuracy": {"value": value, "flag": flag},
        "latency": {"median_s": latency, "first_call_s": latency + 1},
    }  # fmt: skip


def card(*domains: str, data: str | None = "hash") -> dict[str, Any]:
    return {"domains": list(domains), "training_data": data, "training_device_seconds": 60.0}


def test_costs_over_what_a_rollout_saves() -> None:
    assert rollouts(30.0, 2.0, 5.0, "") == {"value": 10.0, "low": None, "high": None, "flag": ""}


def test_what_is_slower_at_equal_accuracy_never_pays() -> None:
    for simulator in (2.0, 1.0):
        for flag in ("", "<"):
            found = rollouts(30.0, 2.0, simulator, flag)
            assert found is not None
            assert (found["value"], found["flag"]) == (None, "never")


def test_bounds_turn_around_and_an_open_question_stays_open() -> None:
    less, more = rollouts(30.0, 2.0, 5.0, "<"), rollouts(30.0, 2.0, 5.0, ">")
    assert less is not None
    assert more is not None
    assert (less["flag"], more["flag"]) == (">", "<")
    assert rollouts(30.0, 2.0, 1.0, ">") is None


def test_a_specialist_is_charged_its_data_training_and_compilation() -> None:
    (found,) = with_break_even([entry(2.0)], {("fluid", "net"): card("fluid")}, {"fluid": 39.0, "cloth": 500.0})
    assert found["break_even"]["costs"] == {
        "data_s": 39.0, "training_s": 60.0, "tuning_s": 0.0, "compile_s": 1.0
    }  # fmt: skip
    assert found["break_even"]["tuning_known"] is False
    assert found["break_even"]["full"]["value"] == pytest.approx(100.0 / 2.0)
    assert found["break_even"]["share"] is None


def test_a_generalist_is_charged_in_full_and_its_share() -> None:
    (found,) = with_break_even(
        [entry(2.0)], {("fluid", "net"): card("cloth", "fluid")}, {"fluid": 39.0, "cloth": 500.0}
    )
    assert found["break_even"]["full"]["value"] == pytest.approx((539 + 60 + 1) / 2)
    assert found["break_even"]["share"]["value"] == pytest.approx((39 + 30 + 1) / 2)


def test_tuning_that_a_card_states_is_charged_and_shared() -> None:
    tuned = card("cloth", "fluid") | {"tuning_device_seconds": 200.0}
    (found,) = with_break_even([entry(2.0)], {("fluid", "net"): tuned}, {"fluid": 39.0, "cloth": 500.0})
    assert found["break_even"]["tuning_known"] is True
    assert found["break_even"]["full"]["value"] == pytest.approx((539 + 60 + 200 + 1) / 2)
    assert found["break_even"]["share"]["value"] == pytest.approx((39 + 30 + 100 + 1) / 2)


def test_the_domains_whose_data_were_seen_are_charged() -> None:
    seen = card("cloth", "fluid") | {"learned": ["fluid"]}
    (found,) = with_break_even([entry(2.0)], {("fluid", "net"): seen}, {"fluid": 39.0, "cloth": 500.0})
    assert found["break_even"]["costs"]["data_s"] == 39.0
    assert found["break_even"]["share"] is None


def test_what_was_not_trained_or_not_compared_has_none() -> None:
    cards = {("fluid", "net"): card("fluid"), ("fluid", "rung"): card("fluid", data=None)}
    bare = entry(1.0) | {"speedup_equal_accuracy": None}
    found = with_break_even([entry(1.0, model="rung"), entry(1.0, model="stranger"), bare], cards, {"fluid": 1.0})
    assert [e["break_even"] for e in found] == [None, None, None]
    (unknown,) = with_break_even([entry(2.0)], cards, {})
    assert unknown["break_even"] is None
